"""Which rules of an EBNF grammar come to an end: XGrammar hangs where one that does not is all that may follow."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["ROOT", "MacroError", "endless_rules", "read_rules"]

ROOT = "root"
"""How XGrammar prints the rule to begin with, whatever its name was."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\])
      | (?P<ahead>\(=)
      | (?P<macro>[A-Za-z_][\w.-]*)\(
      | (?P<name>[A-Za-z_][\w.-]*)
      | (?P<count>\{(?P<low>\d+),[ ]*-?\d+\}|[*+?])
      | (?P<sign>[()|])
    )""",
    re.VERBOSE,
)


class MacroError(Exception):
    """The grammar uses one of XGrammar's macros, such as ``TagDispatch(...)``."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A rule."""

    name: str


@dataclass(frozen=True, slots=True)
class _All:
    """One after the other; none of them is a text that is there."""

    items: tuple[_Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class _Any:
    """One of these."""

    options: tuple[_Expression, ...]


_Expression = _Name | _All | _Any


def read_rules(printed: str) -> dict[str, _Expression]:
    """The rules of a grammar as XGrammar prints it, one a line.

    :raises MacroError: There is something in it that is no rule, text or count.
    """
    rules: dict[str, _Expression] = {}
    for line in filter(str.strip, printed.splitlines()):
        name, _, body = line.partition("::=")
        rules[name.strip()] = _Reader(body).choices()
    return rules


def endless_rules(rules: Mapping[str, _Expression]) -> list[str]:
    """The rules within reach of the first that no finite text satisfies; that one first if it is among them."""
    ending: frozenset[str] = frozenset()
    while True:
        more = frozenset(name for name, body in rules.items() if _ends(body, ending))
        if more == ending:
            break
        ending = more
    reached = [ROOT]
    for name in reached:
        reached += [other for other in dict.fromkeys(_names(rules[name])) if other not in reached]
    return [name for name in reached if name not in ending]


def _ends(body: _Expression, ending: Container[str]) -> bool:
    if isinstance(body, _Name):
        return body.name in ending
    if isinstance(body, _All):
        return all(_ends(item, ending) for item in body.items)
    return any(_ends(option, ending) for option in body.options)


def _names(body: _Expression) -> Iterator[str]:
    if isinstance(body, _Name):
        yield body.name
        return
    for inner in body.items if isinstance(body, _All) else body.options:
        yield from _names(inner)


class _Reader:
    """Reads the right side of one rule."""

    def __init__(self, body: str) -> None:
        self._tokens = list(_tokens(body))
        self._at = 0

    def _next(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def choices(self) -> _Expression:
        options = [self._sequence()]
        while (token := self._next()) is not None and token["sign"] == "|":
            self._at += 1
            options.append(self._sequence())
        return options[0] if len(options) == 1 else _Any(tuple(options))

    def _sequence(self) -> _Expression:
        items: list[_Expression] = []
        while (token := self._next()) is not None and token["sign"] not in ("|", ")"):
            self._at += 1
            items.append(self._counted(self._atom(token)))
        return items[0] if len(items) == 1 else _All(tuple(items))

    def _atom(self, token: re.Match[str]) -> _Expression:
        if token["name"]:
            return _Name(token["name"])
        if token["text"]:
            return _All()
        if token["sign"] == "(":
            inner = self.choices()
            self._at += 1
            return inner
        raise MacroError(token[0].strip())  # also "(=": masks look ahead where matchers do not

    def _counted(self, item: _Expression) -> _Expression:
        token = self._next()
        if token is None or not token["count"]:
            return item
        self._at += 1
        may_be_left_out = token["count"] in ("*", "?") or token["low"] == "0"
        return _Any((item, _All())) if may_be_left_out else item


def _tokens(body: str) -> Iterator[re.Match[str]]:
    at, end = 0, len(body.rstrip())
    while at < end:
        token = _TOKEN.match(body, at)
        if token is None:
            raise MacroError(body[at:].strip())
        if token["macro"]:
            raise MacroError(token["macro"])
        yield token
        at = token.end()
