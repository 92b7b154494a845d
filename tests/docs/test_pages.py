"""What the pages say of other things holds: links, commands, options, parts."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer.main

import decodeplug.testing
from decodeplug.cli import app
from decodeplug.discovery import Plugins
from decodeplug.request import option_names
from decodeplug.values import Stage

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "plugins").glob("*/README.md"), ROOT / "plugins" / "README.md"]
    + [*(ROOT / "examples").rglob("*.md")]
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def section(page: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = heading.count("#", 0, heading.index(" "))
    rest = text_of(page).partition(f"\n{heading}\n")[2]
    assert rest, f"{page.name} has no {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0].startswith("`")]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_readme_leads_to_every_page(page: Path) -> None:
    assert f"docs/{page.name}" in text_of(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)`", text_of(page))) <= targets


GROUP: Any = typer.main.get_command(app)  # an app with commands is a group
COMMANDS = {
    f"{name} {inner}" if inner else name: command
    for name, outer in GROUP.commands.items()
    for inner, command in getattr(outer, "commands", {"": outer}).items()
}


def test_the_page_of_the_command_line_has_every_command_and_no_other() -> None:
    assert set(re.findall(r"^## decodeplug ([\w -]+)$", text_of(DOCS / "cli.md"), re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_page_of_the_command_line_has_every_option_and_no_other(command: str) -> None:
    options = {flag for param in COMMANDS[command].params for flag in param.opts if flag.startswith("--")}
    options |= {flag for param in COMMANDS[command].params for flag in param.secondary_opts}
    named = set(re.findall(r"`(--[a-z-]+)", section(DOCS / "cli.md", f"## decodeplug {command}")))
    assert named == options


def test_the_page_of_the_command_line_has_the_defaults_that_are_one_value() -> None:
    assert sum(len(defaults_said_of(command)) for command in COMMANDS) > 40


def defaults_said_of(command: str) -> dict[str, str]:
    """Option -> default, which is that of the command."""
    defaults = {
        flag: str(param.default).removesuffix(".0") for param in COMMANDS[command].params for flag in param.opts
    }
    row = r"^\| `(--[a-z-]+)[^|]*\|.*\| `?([\w.]+)`? \|$"
    rows = re.findall(row, section(DOCS / "cli.md", f"## decodeplug {command}"), re.MULTILINE)
    words = {"off": "False", "on": "True", "none": "None", "drawn": "None"}
    said = {flag: words.get(value, value) for flag, value in rows}
    assert said == {flag: defaults[flag] for flag in said}, command
    return said


def test_the_table_of_processors_is_what_is_registered() -> None:
    registry = Plugins.load("none").registry
    expected = {}
    for name in registry.names("processor"):
        offer = registry.get("processor", name)
        options = [f"{option}={default}" if default else option for option, default in offer.options.items()]
        factory: Any = offer.factory  # a class, whose stage says where it runs
        expected[name] = (", ".join(options), Stage(factory.stage).name)
    found = {
        row[0].strip("`"): (row[1].replace("`", ""), row[2].strip("`"))
        for row in rows(section(DOCS / "recipes.md", "## Processors"))
    }
    assert found == expected


def test_the_table_of_options_is_what_a_request_takes() -> None:
    assert [row[0].strip("`") for row in rows(section(DOCS / "recipes.md", "## Options"))] == option_names()


def test_every_check_that_plugins_can_call_is_on_the_page_of_contracts() -> None:
    checks = {name for name in decodeplug.testing.__all__ if name.startswith("check_")}
    assert checks <= set(re.findall(r"`(check_\w+)`", text_of(DOCS / "contracts.md")))
    assert all(inspect.isfunction(getattr(decodeplug.testing, name)) for name in checks)


def test_no_page_names_a_place_on_somebodys_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.~])/(?:home|work|tmp|Users|root)/", text_of(page)), page.name


OBJECTS = ("model", "heads", "modules")  # what drafters may be given in place of what the host gives them


@pytest.mark.parametrize(("heading", "kind"), [("## Strategies", "strategy"), ("## Drafters", "drafter")])
def test_the_tables_of_strategies_and_drafters_are_what_is_registered_each_with_its_source(
    heading: str, kind: Any
) -> None:
    registry = Plugins.load("none").registry
    table = {row[0].strip("`"): row for row in rows(section(DOCS / "recipes.md", heading))}
    assert set(table) == set(registry.names(kind)) - {"chain"}  # which is made of those that are named
    for name, row in table.items():
        options = dict(registry.get(kind, name).options)
        options = {key: value for key, value in options.items() if kind == "strategy" or key not in OBJECTS}
        said = dict(option.partition("=")[::2] for part in re.findall("`(.*?)`", row[1]) for option in part.split(", "))
        said.pop("assistant", None)  # an option of the request
        assert set(said) == set(options), name
        assert all(default in ("", options[option]) for option, default in said.items()), name
        assert "arxiv.org/abs/" in row[-1] or name in ("greedy", "none")
