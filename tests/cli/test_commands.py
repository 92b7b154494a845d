"""The commands that run a model, on a tiny one in a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from decodeplug.cli import app, main
from decodeplug.testing import byte_tokenizer


@pytest.fixture(scope="module")
def folder(saved: Callable[[Any], Path]) -> Path:
    return saved(byte_tokenizer())


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_generate_prints_one_json_object(folder: Path) -> None:
    result = run("generate", "ab", "--model", str(folder), "--regex", "[xy]{3}", "--max-new-tokens", "9", "--json")
    facts = json.loads(result.stdout)
    assert len(facts["value"]) == 3
    assert facts["finish_reason"] == "stop"
    assert facts["trace"]["tokens"] == len(facts["token_ids"])


def test_generate_writes_the_text(folder: Path) -> None:
    result = run("generate", "ab", "--model", str(folder), "--choice", "one", "--choice", "two", "--raw")
    assert result.stdout in ("one\n", "two\n")


def test_generate_drafts_with_the_assistant_that_is_named(folder: Path) -> None:
    given = ["ab", "--model", str(folder), "--max-new-tokens", "9", "--seed", "1", "--json"]
    plain = json.loads(run("generate", *given).stdout)
    drafting = ["--assistant", str(folder), "--drafter", "assistant=num_tokens=3"]
    facts = json.loads(run("generate", *given, *drafting).stdout)
    assert facts["token_ids"] == plain["token_ids"]
    assert facts["trace"]["acceptance"]["assistant"]["kept"] > 0
    assert facts["trace"]["forwards"] < plain["trace"]["forwards"]


def test_generate_takes_a_recipe_and_a_schema_and_what_is_given_wins(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('processors = ["temperature=0.5"]\nseed = 4\nmax_new_tokens = 3\n')
    (tmp_path / "s.json").write_text('{"enum": [12, 13]}')
    files = ("--recipe", str(tmp_path / "r.toml"), "--schema", str(tmp_path / "s.json"))
    facts = json.loads(run("generate", "a", "--model", str(folder), *files, "--seed", "9", "--json").stdout)
    assert facts["value"] in (12, 13)
    assert facts["trace"]["seed"] == 9
    assert facts["trace"]["processors"] == ["temperature"]


@pytest.mark.parametrize(
    ("recipe", "options", "most"), [("", ["7"], 7), ("max_new_tokens = 3", ["7"], 7), ("max_new_tokens = 3", [], 3)]
)
def test_the_number_of_new_tokens_that_is_typed_wins_over_the_recipe(
    folder: Path, tmp_path: Path, recipe: str, options: list[str], most: int
) -> None:
    (tmp_path / "r.toml").write_text(recipe)
    typed = [part for number in options for part in ("--max-new-tokens", number)]
    given = ("--raw", "--processor", "min-tokens=20", "--recipe", str(tmp_path / "r.toml"), *typed, "--json")
    result = run("generate", "ab", "--model", str(folder), *given)
    assert len(json.loads(result.stdout)["token_ids"]) == most


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "a", "--model", "no/such folder"], "there is no folder"),
        (["generate", "a", "--model", "EMPTY"], "it has no config.json"),
        (["generate", "a", "--model", "MODEL", "--recipe", "prompt.json"], "the prompt is given with the call"),
        (["generate", "a", "--model", "MODEL", "--recipe", "list.json"], "a mapping"),
        (["generate", "a", "--model", "MODEL", "--recipe", "latin.toml"], "UTF-8"),
        (["generate", "a", "--model", "MODEL", "--processor", "topp=0.5"], "Did you mean"),
        (["generate", "a", "--model", "MODEL", "--max-new-tokens", "0"], "at least 1"),
        (["generate", "a", "--model", "MODEL", "--schema", "missing.json"], "a file with a JSON schema"),
        (["generate", "a", "--model", "MODEL", "--regex", "a", "--choice", "b"], "at most one"),
        (["generate", "a", "--model", "MODEL", "--recipe", "missing.toml"], "can be read"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    folder: Path,
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompt.json").write_text('{"prompt": "x"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "latin.toml").write_bytes(b'stop = "\xe9"')
    (tmp_path / "empty").mkdir()
    places = {"MODEL": str(folder), "EMPTY": str(tmp_path / "empty")}
    with pytest.raises(SystemExit) as exit_:
        main([places.get(argument, argument) for argument in arguments])
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    (line,) = [line for line in captured.err.splitlines() if line.startswith("decodeplug: ")]
    assert says in line
    assert captured.out == ""


def test_doctor_says_how_a_model_would_be_decoded(folder: Path) -> None:
    report = json.loads(run("doctor", "--model", str(folder), "--json").stdout)
    assert report["model"]["path"] == "ragged"
    assert report["model"]["context_window"] == 512
    assert report["versions"]["transformers"]
    assert "forced" in report["parts"]["drafter"]
    assert ["selector 'match'", "drafter 'lookup'", "works"] in report["fits"]
    assert "What fits" in run("doctor").stdout


def test_every_option_of_every_command_has_a_help_line() -> None:
    import typer

    group: Any = typer.main.get_command(app)  # an app with commands is a group
    for name, command in group.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", "x"), f"{name} {parameter.name}"


def test_generate_holds_the_text_to_a_grammar_and_prints_its_tree(folder: Path) -> None:
    grammar = 'start: word word\nword: "ab" | /[0-9]/'
    facts = json.loads(run("generate", "ab", "--model", str(folder), "--grammar", grammar, "--json").stdout)
    assert [child["rule"] for child in facts["tree"]["children"]] == ["word", "word"]
    assert facts["value"] is None


def test_grammars_lists_the_library() -> None:
    listed = json.loads(run("grammars", "--json").stdout)["grammars"]
    assert {"json", "sql_select", "tool_call"} <= {one["name"] for one in listed}
    assert all(one["summary"] and one["distribution"] for one in listed)
    assert "sql_select" in run("grammars").stdout
