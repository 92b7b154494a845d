"""The regular expression of a terminal as a small tree of character sets, and the tree as the mask engine writes it.

Python itself reads the expression, flags and all, so nothing can be understood differently from how Lark's matcher
understands it; and the engine is only ever given characters by their code points, groups, ``|`` and counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from decodeplug.constraints.character_sets import Spans, complement, in_either_case, member_spans, normal

__all__ = ["Either", "Node", "NotRegularError", "Repeat", "Sequence", "engine_form", "read_terminal"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_NEWLINE = ((10, 10),)
_REFUSED = {
    "ASSERT": "look-around is not regular",
    "ASSERT_NOT": "look-around is not regular",
    "AT": "anchors and word boundaries look at the text around the terminal",
    "GROUPREF": "a back-reference is not regular",
    "GROUPREF_EXISTS": "a conditional group is not regular",
    "ATOMIC_GROUP": "atomic groups are not regular",
    "POSSESSIVE_REPEAT": "possessive repetition is not regular",
}


class NotRegularError(Exception):
    """The expression has something that cannot be followed character by character."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; the empty sequence is the empty text."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """The first option that leads to a match, as Python tries them."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``low`` to ``high`` times (None: any number), as often as possible, or, if lazy, as rarely."""

    item: Node
    low: int
    high: int | None
    lazy: bool


Node = Spans | Sequence | Either | Repeat
"""A set of characters is written as its spans."""


@lru_cache(512)
def read_terminal(pattern: str) -> Node:
    """Read an expression as Python's ``re`` does.

    What ``common.ESCAPED_STRING`` says with a look-behind (a quoted text in which a backslash escapes) is read as
    what it means; every other look-around is refused.

    :raises NotRegularError: Look-around, anchors, back-references, atomic groups, possessive repetition.
    """
    parsed: Any = import_module("re._parser").parse(pattern)
    return _sequence(list(parsed), parsed.state.flags)


def engine_form(node: Node) -> str:
    """The tree in the engine's dialect; safe inside a group and at the side of anything."""
    if isinstance(node, Sequence):
        return "".join(map(engine_form, node.items))
    if isinstance(node, Either):
        return f"(?:{'|'.join(map(engine_form, node.options))})"
    if isinstance(node, Repeat):
        high = "" if node.high is None else node.high
        return f"(?:{engine_form(node.item)}){{{node.low},{high}}}"
    if len(node) == 1 and node[0][0] == node[0][1]:
        return _character(node[0][0])
    return f"[{''.join(_character(low) if low == high else f'{_character(low)}-{_character(high)}' for low, high in node)}]"


def _character(code: int) -> str:
    return chr(code) if chr(code) in _PLAIN else f"\\x{{{code:x}}}"


def _sequence(parsed: list[tuple[Any, Any]], flags: int) -> Node:
    items: list[Node] = []
    at = 0
    while at < len(parsed):
        quoted = _quoted(parsed[at : at + 5], flags)
        if quoted is not None:
            items.append(quoted)
            at += 5
            continue
        items.append(_node(*parsed[at], flags))
        at += 1
    return items[0] if len(items) == 1 else Sequence(tuple(items))


def _quoted(parsed: list[tuple[Any, Any]], flags: int) -> Node | None:
    """``Q.*?(?<!\\\\)(\\\\\\\\)*?Q`` for a quote Q: up to the first Q before which backslashes are even in number."""
    if len(parsed) < 5 or str(parsed[0][0]) != "LITERAL" or parsed[0] != parsed[4] or parsed[0][1] == ord("\\"):
        return None
    shape = re.sub(r"SUBPATTERN, \(\w+, ", "SUBPATTERN, (", str(parsed[1:4]))
    if shape != (
        "[(MIN_REPEAT, (0, MAXREPEAT, [(ANY, None)])), (ASSERT_NOT, (-1, [(LITERAL, 92)])), "
        "(MIN_REPEAT, (0, MAXREPEAT, [(SUBPATTERN, (0, 0, [(LITERAL, 92), (LITERAL, 92)]))]))]"
    ):
        return None
    quote = _character_set(parsed[0][1], flags)
    excluded = (*quote, (ord("\\"), ord("\\")))
    any_character = _any(flags)
    plain = complement(normal([*excluded, *complement(any_character)]))
    escaped = Sequence((((ord("\\"), ord("\\")),), any_character))
    return Sequence((quote, Repeat(Either((plain, escaped)), 0, None, False), quote))


def _node(name: Any, value: Any, flags: int) -> Node:
    kind = str(name)
    if kind in _REFUSED:
        raise NotRegularError(_REFUSED[kind])
    if kind == "LITERAL":
        return _some(_character_set(value, flags))
    if kind == "NOT_LITERAL":
        return _some(complement(_character_set(value, flags)))
    if kind == "ANY":
        return _any(flags)
    if kind == "IN":
        return _some(_class(value, flags))
    if kind == "BRANCH":
        return Either(tuple(_sequence(list(option), flags) for option in value[1]))
    if kind == "SUBPATTERN":
        _, added, removed, inner = value
        return _sequence(list(inner), (flags | added) & ~removed)
    if kind in ("MAX_REPEAT", "MIN_REPEAT"):
        low, high, inner = value
        limit = None if str(high) == "MAXREPEAT" else int(high)
        return Repeat(_sequence(list(inner), flags), int(low), limit, kind == "MIN_REPEAT")
    raise NotRegularError(f"{kind.lower()} is not known here")


def _some(spans: Spans) -> Spans:
    if not spans:
        raise NotRegularError("no character is in one of its classes")
    return spans


def _any(flags: int) -> Spans:
    return complement(() if flags & re.DOTALL else _NEWLINE)


def _character_set(code: int, flags: int) -> Spans:
    return in_either_case(code, bool(flags & re.ASCII)) if flags & re.IGNORECASE else normal([(code, code)])


def _class(parts: Iterable[tuple[Any, Any]], flags: int) -> Spans:
    if flags & re.IGNORECASE:
        return member_spans(
            f"(?i:[{''.join(_class_item(str(name), value) for name, value in parts)}])", flags & re.ASCII
        )
    spans: list[tuple[int, int]] = []
    negated = False
    for name, value in parts:
        kind = str(name)
        if kind == "NEGATE":
            negated = True
        elif kind == "CATEGORY":
            spans.extend(member_spans(_class_item(kind, value), flags & re.ASCII))
        else:
            spans.append((value, value) if kind == "LITERAL" else (value[0], value[1]))
    found = normal(spans)
    return complement(found) if negated else found


def _class_item(kind: str, value: Any) -> str:
    """How Python writes this part of a class."""
    if kind == "NEGATE":
        return "^"
    if kind == "LITERAL":
        return f"\\U{value:08x}"
    if kind == "RANGE":
        return f"\\U{value[0]:08x}-\\U{value[1]:08x}"
    name = str(value)
    letter = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[name.rpartition("_")[2]]
    return "\\" + (letter.upper() if "_NOT_" in name else letter)
