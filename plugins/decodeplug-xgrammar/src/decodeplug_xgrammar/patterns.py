"""Regular expressions as EBNF: of a whole text, or found somewhere in a JSON string.

The dialect is decodeplug's (:mod:`decodeplug.constraints.pattern`); Python reads each expression, and XGrammar is
given characters by their code points, so nothing can be understood differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from decodeplug.constraints.terminal_syntax import Node, NotRegularError, read_terminal
from decodeplug.plugin import UnsupportedGrammar

from decodeplug_xgrammar.ebnf import JSON_CHARACTER, either, expression, json_expression

__all__ = ["found_in_string", "whole_text"]

_FLAGS = re.compile(r"\(\?([aimsux]+)\)")


@dataclass(frozen=True, slots=True)
class _Alternative:
    """What stands between two ``|`` that are in no group.

    :ivar from_start: It begins with ``^``. :ivar to_end: It ends with ``$``.
    """

    node: Node
    from_start: bool
    to_end: bool


def whole_text(pattern: str) -> str:
    """The EBNF of all texts that a pattern matches from end to end.

    :raises UnsupportedGrammar: It cannot be followed character by character.
    """
    return either(expression(alternative.node) for alternative in _alternatives(pattern))


def found_in_string(pattern: str) -> str:
    """The EBNF of a JSON string, quotes and all, in which a pattern is found somewhere.

    :raises UnsupportedGrammar: It cannot be followed character by character.
    """
    anything = f"({JSON_CHARACTER})*"
    options = []
    for alternative in _alternatives(pattern):
        before = [] if alternative.from_start else [anything]
        behind = [] if alternative.to_end else [anything]
        options.append(" ".join([*before, json_expression(alternative.node), *behind]))
    return f'"\\"" {either(options)} "\\""'


def _alternatives(pattern: str) -> list[_Alternative]:
    flags = _FLAGS.match(pattern)
    if flags is not None and "m" in flags[1]:
        raise UnsupportedGrammar("regex", because="anchors at each line are not known here")
    head, body = (flags[0], pattern[flags.end() :]) if flags is not None else ("", pattern)
    found = []
    for part in _split(body):
        bare = part.removeprefix("^")
        to_end = bare.endswith("$") and not _ends_escaped(bare[:-1])
        try:
            node = read_terminal(head + (bare[:-1] if to_end else bare))
        except NotRegularError as error:
            raise UnsupportedGrammar("regex", because=str(error)) from None
        found.append(_Alternative(node, part.startswith("^"), to_end))
    return found


def _ends_escaped(text: str) -> bool:
    """Would one more character be escaped?"""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _split(pattern: str) -> list[str]:
    """The parts of a pattern between the ``|`` that are in no group and no class."""
    parts, begin, depth, at = [], 0, 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _end_of_class(pattern, at)
        elif char == "|" and depth == 0:
            parts.append(pattern[begin:at])
            begin = at + 1
        depth += (char == "(") - (char == ")")
        at += 1
    return [*parts, pattern[begin:]]


def _end_of_class(pattern: str, at: int) -> int:
    """Where the class that begins at ``at`` ends."""
    at += 2 if pattern.startswith("[^", at) else 1
    if pattern.startswith("]", at):
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at
