"""``decodeplug verify-lossless``: its verdicts, exit codes and complaints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from decodeplug.cli import app, main
from decodeplug.testing import byte_tokenizer, tiny_model

LOOKUP = 'strategy = "sample"\ndrafters = ["lookup=min_ngram=1"]\nmax_new_tokens = 8\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, and recipes beside it."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = byte_tokenizer()
    tiny_model(vocab=len(tokenizer), layers=1).save_pretrained(path)
    tokenizer.save_pretrained(path)
    (path / "right.toml").write_text(LOOKUP)
    (path / "assisted.toml").write_text(LOOKUP.replace("lookup=min_ngram=1", "assistant=num_tokens=3"))
    (path / "cool.toml").write_text(LOOKUP + 'processors = ["temperature=0.5"]\n')
    return path


def run(folder: Path, recipe: str, *arguments: str) -> Any:
    options = ["--recipe", str(folder / recipe), "--model", str(folder), "--prompt", "a b a b a b a", *arguments]
    return CliRunner().invoke(app, ["verify-lossless", *options], catch_exceptions=False)


def test_a_right_recipe_passes_with_exit_code_0_and_a_table(folder: Path) -> None:
    result = run(folder, "right.toml", "--samples", "70")
    assert result.exit_code == 0
    assert "same ids" in result.stdout
    assert "70 texts of at most 8 tokens" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("pass: no difference was found")


def test_another_law_fails_with_exit_code_1_and_says_where(folder: Path) -> None:
    result = run(folder, "cool.toml", "--against", str(folder / "right.toml"), "--samples", "20", "--json")
    verdict = json.loads(result.stdout)
    assert result.exit_code == 1
    assert verdict["outcome"] == "fail"
    assert "same ids" in verdict["because"]


def test_a_recipe_with_an_assistant_is_judged_with_the_one_that_is_named(folder: Path) -> None:
    arguments = ["assisted.toml", "--samples", "40", "--bound", "0.2", "--assistant", str(folder), "--json"]
    verdict = json.loads(run(folder, *arguments).stdout)
    assert verdict["outcome"] == "pass", verdict
    assert verdict["kept"] > 0


def test_few_samples_are_no_verdict_with_exit_code_2(folder: Path) -> None:
    result = run(folder, "right.toml", "--samples", "10", "--tokens", "4", "--bound", "0.2", "--json")
    verdict = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (verdict["outcome"], verdict["samples"], verdict["tokens"]) == ("not enough samples", 10, 4)
    assert verdict["wanted_samples"] > 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recipe", "missing.toml"], "can be read"),
        (["--recipe", "RIGHT", "--samples", "0"], "samples=0, but wanted at least 1"),
        (["--recipe", "RIGHT", "--model", "no/such folder"], "there is no folder"),
    ],
)
def test_what_is_wrong_is_one_line_on_stderr(
    folder: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder / "right.toml") if part == "RIGHT" else part for part in arguments]
    with pytest.raises(SystemExit) as exit_:
        main(["verify-lossless", "--model", str(folder), *given])
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert says in captured.err.splitlines()[-1]
    assert captured.out == ""
