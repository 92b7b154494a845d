"""Texts, characters, expressions and JSON values as XGrammar's EBNF writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from decodeplug.constraints.character_sets import Spans, complement, normal
from decodeplug.constraints.schema_engine import FREE
from decodeplug.constraints.terminal_syntax import Either, Node, Repeat, Sequence

__all__ = [
    "JSON_CHARACTER",
    "MOST_SPACE",
    "SEPARATORS",
    "constant",
    "either",
    "expression",
    "json_expression",
    "literal",
    "repeated",
]

SEPARATORS: Mapping[str, tuple[str, str]] = {"spaced": (", ", ": "), "compact": (",", ":")}
"""Fixed layout -> what stands between items and behind keys."""

MOST_SPACE: Mapping[str, int | None] = {"any": 20, FREE: None}  # an automaton bounds the second
"""Free layout -> characters of whitespace at a place, bounded so that no model writes them without end."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _")
_SHORT = {0x08: "b", 0x0C: "f", 0x0A: "n", 0x0D: "r", 0x09: "t", 0x22: '"', 0x5C: "\\"}
_ESCAPED: Spans = normal([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
_AS_THEY_ARE: Spans = complement(_ESCAPED)


def literal(text: str) -> str:
    """Exactly this text."""
    return f'"{"".join(map(_character, text))}"'


def either(options: Iterable[str]) -> str:
    """One of several expressions."""
    return f"({' | '.join(options)})"


def repeated(inner: str, low: int, high: int | None) -> str:
    """An expression ``low`` to ``high`` times; None is any number."""
    if high == 0:
        return '""'
    return f"({inner}){{{low},{'' if high is None else high}}}"


def constant(value: Any, layout: str) -> str:
    """A JSON value, in one spelling but for the whitespace of a free layout."""
    if layout in SEPARATORS:
        return literal(json.dumps(value, ensure_ascii=False, separators=SEPARATORS[layout]))
    space = repeated(r"[ \n\r\t]", 0, MOST_SPACE[layout])
    match value:
        case dict():
            items = [
                f'{literal(_dumps(key))} {space} ":" {space} {constant(inner, layout)}' for key, inner in value.items()
            ]
            first, last = '"{"', '"}"'
        case list():
            items = [constant(inner, layout) for inner in value]
            first, last = '"["', '"]"'
        case _:
            return literal(_dumps(value))
    between = f' {space} "," {space} '
    return " ".join([first, space, *([between.join(items), space] if items else []), last])


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def expression(node: Node) -> str:
    """The texts that a regular expression matches from end to end."""
    return _written(node, _characters)


def json_expression(node: Node) -> str:
    """The same texts as they stand inside a JSON string, without its quotes.

    Each character is spelled in one way: as it is, or by its short escape. Control characters without one are
    left out of a class, and written as ``\\u`` escapes where a class has nothing else.
    """
    return _written(node, _json_characters)


def _written(node: Node, characters: Callable[[Spans], str]) -> str:
    if isinstance(node, Sequence):
        return f"({' '.join(_written(item, characters) for item in node.items)})" if node.items else '""'
    if isinstance(node, Either):
        return either(_written(option, characters) for option in node.options)
    if isinstance(node, Repeat):
        return repeated(_written(node.item, characters), node.low, node.high)
    return characters(node)


def _characters(spans: Spans) -> str:
    return (
        f"[{''.join(_character(chr(a)) if a == b else f'{_character(chr(a))}-{_character(chr(b))}' for a, b in spans)}]"
    )


def _json_characters(spans: Spans) -> str:
    plain = _both(spans, _AS_THEY_ARE)
    escaped = [code for low, high in _both(spans, _ESCAPED) for code in range(low, high + 1)]
    options = [_characters(plain)] if plain else []
    options += [literal(f"\\{_SHORT[code]}") for code in escaped if code in _SHORT]
    return either(options or [literal(f"\\u{code:04x}") for code in escaped])


def _both(first: Spans, second: Spans) -> Spans:
    return normal((max(a, c), min(b, d)) for a, b in first for c, d in second if max(a, c) <= min(b, d))


def _character(char: str) -> str:
    if char in _PLAIN:
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


JSON_CHARACTER = _json_characters(complement(()))
"""Any one character of a JSON string."""
