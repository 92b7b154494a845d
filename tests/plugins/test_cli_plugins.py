"""``decodeplug plugins`` and ``decodeplug new``, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from decodeplug.cli import app, main

Install = Callable[..., None]
OFFERS = "from decodeplug.plugin import hookimpl\n\n@hookimpl\ndef decodeplug_register(registry):\n    registry.engine('oak', '{target}')\n"


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``decodeplug ARGUMENTS``."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, _ = typed(capsys, "plugins", "--json", *arguments)
    assert code == 0
    return json.loads(out)


def commands() -> list[tuple[str, click.Parameter]]:
    group: Any = typer.main.get_command(app)  # an app with commands is a group
    return [(name, parameter) for name, command in group.commands.items() for parameter in command.params]


@pytest.mark.parametrize(("command", "parameter"), commands(), ids=lambda value: getattr(value, "name", value))
def test_every_option_has_a_help_line(command: str, parameter: click.Parameter) -> None:
    assert getattr(parameter, "help", None), f"decodeplug {command}: {parameter.name} has no help"


def test_the_built_in_parts_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, "--select", "none")
    assert [one["distribution"] for one in found["plugins"]] == ["decodeplug"]
    assert found["failures"] == []
    facts = {"kind", "name", "distribution", "version", "summary", "options", "approximates", "error"}
    assert facts == set(found["parts"][0])
    assert [one["name"] for one in found["parts"] if one["approximates"]] == [
        "latent",
        "quantised",
        "transformers-quantized",
    ]


def test_every_built_in_part_can_be_imported_and_has_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    for part in listed(capsys, "--select", "none")["parts"]:
        assert part["summary"], part


def test_one_kind_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert {part["kind"] for part in listed(capsys, "--kind", "drafter")["parts"]} == {"drafter"}


def test_a_plugin_that_failed_is_listed_with_its_reason(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("decodeplug-broken", "raise RuntimeError('no such luck')")
    [failure] = listed(capsys, "--select", "broken")["failures"]
    assert failure["distribution"] == "decodeplug-broken"
    assert "no such luck" in failure["error"]
    out = typed(capsys, "plugins", "--select", "broken", "--kind", "engine")[1]
    assert "Left out" in out
    assert "RuntimeError" in out


def test_a_part_that_cannot_be_imported_is_listed_with_its_reason(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("decodeplug-oak", OFFERS.format(target="no_such_module:Oak"))
    [part] = listed(capsys, "--select", "oak", "--kind", "engine")["parts"]
    assert "no_such_module" in part["error"]


def test_people_get_tables(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("decodeplug-oak", OFFERS.format(target="collections:OrderedDict"))
    code, out, _ = typed(capsys, "plugins", "--select", "oak", "--kind", "engine")
    assert code == 0
    assert "Parts: engine" in out
    assert "decodeplug-oak" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plugins", "--kind", "drafer"), "Did you mean 'drafter'"),
        (("plugins", "--select", "decodeplg"), "Did you mean 'decodeplug'"),
        (("new", "Fresh"), "lower-case words"),
        (("new", "fresh", "--kind", "drafer"), "there is no template 'drafer'"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = typed(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_an_option_that_does_not_exist_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(capsys, "plugins", "--no-such-option")[0] == 2


def test_new_says_where_it_wrote_and_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "new", "fresh-words", "--directory", str(tmp_path))
    assert code == 0
    assert f"cd {tmp_path / 'decodeplug-fresh-words'}" in out
    assert (tmp_path / "decodeplug-fresh-words" / "pyproject.toml").is_file()


def test_new_tells_programs_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(typed(capsys, "new", "fresh-words", "--directory", str(tmp_path), "--json")[1])
    assert made["module"] == "decodeplug_fresh_words"
    assert made["path"] == str(tmp_path / "decodeplug-fresh-words")
    assert len(made["next_steps"]) == 4


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from decodeplug.cli import main
try:
    main(["--help"])
except SystemExit:
    print([name for name in ("torch", "transformers", "pydantic", "llguidance") if name in sys.modules])
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip().endswith("[]")
