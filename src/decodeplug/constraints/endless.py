"""Could the engine be led into writing the same for ever, with no choice and no end?

The engine reads terminals longest first. So a rule that asks for an ``a`` after ``/a+/`` never gets it: each ``a`` belongs to
the terminal before. Where nothing else may follow, the next byte is always forced, and an engine that runs ahead
along forced bytes never comes back. Such grammars are few; they are told not to run ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from decodeplug.constraints.character_sets import Spans
from decodeplug.constraints.first_match import begins_another, leaves_no_choice
from decodeplug.constraints.terminal_automaton import TooLargeError
from decodeplug.constraints.terminal_syntax import Either, Node, Repeat
from decodeplug.constraints.terminal_syntax import Sequence as InSequence

__all__ = ["may_force_for_ever"]


def may_force_for_ever(rules: Sequence[Any], ignored: Sequence[str], nodes: Mapping[str, Node]) -> bool:
    """True if an endless forced text cannot be ruled out. Such a text stays in a loop of one terminal, or goes
    round through terminals that leave no choice, of which one swallows what would lead out.

    :param rules: Lark's compiled rules. :param ignored: Terminals that may stand anywhere. :param nodes: Terminals by name.
    """
    follow = _follow(rules)
    required = sorted(follow)
    # What is ignored never has to come, so it is no way out that could be swallowed.
    follow |= {name: {*follow} for name in ignored}
    for name, following in follow.items():
        looped = {byte for loop in _loops(nodes[name]) for spans in _leaves(loop) for byte in _first_bytes(spans)}
        if looped and any(_begins_only_with(nodes[other], looped) for other in following):
            return True
    follow = {name: following | {*ignored} for name, following in follow.items()}
    fixed = {name for name in follow if _is_fixed(nodes[name])}
    round_trips = {name for name in fixed if name in _reachable(name, follow, fixed)}
    return any(_swallows(nodes[other], nodes[name]) for name in sorted(round_trips) for other in required)


def _follow(rules: Sequence[Any]) -> dict[str, set[str]]:
    """The terminals that may come right after each."""
    first: dict[str, set[str]] = {rule.origin.name: set() for rule in rules}
    last: dict[str, set[str]] = {rule.origin.name: set() for rule in rules}
    empty: set[str] = set()
    follow: dict[str, set[str]] = {symbol.name: set() for rule in rules for symbol in rule.expansion if symbol.is_term}
    size = -1
    while size != (size := len(empty) + sum(map(len, [*first.values(), *last.values(), *follow.values()]))):
        for rule in rules:
            name, symbols = rule.origin.name, [symbol.name for symbol in rule.expansion]
            ends: set[str] = set()  # terminals that may come right before the next symbol
            may_begin = True
            for symbol in symbols:
                begins = first.get(symbol, {symbol})
                for end in ends:
                    follow[end] |= begins
                if may_begin:
                    first[name] |= begins
                may_begin = may_begin and symbol in empty
                ends = (ends if symbol in empty else set()) | last.get(symbol, {symbol})
            last[name] |= ends
            if may_begin:
                empty.add(name)
    return follow


def _reachable(name: str, follow: Mapping[str, set[str]], among: set[str]) -> set[str]:
    found: set[str] = set()
    open_ends = [name]
    while open_ends:
        new = (follow[open_ends.pop()] & among) - found
        found |= new
        open_ends += new
    return found


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, InSequence):
        return node.items
    if isinstance(node, Either):
        return node.options
    return (node.item,) if isinstance(node, Repeat) else ()


def _leaves(node: Node) -> Iterator[Spans]:
    """The character sets in an expression."""
    if isinstance(node, tuple):
        yield node
    for part in _parts(node):
        yield from _leaves(part)


def _has_only_single_characters(node: Node) -> bool:
    return all(len(spans) == 1 and spans[0][0] == spans[0][1] for spans in _leaves(node))


def _loops(node: Node) -> Iterator[Node]:
    """The repetitions without end in which no character can be chosen."""
    if isinstance(node, Repeat) and node.high is None and _has_only_single_characters(node.item):
        yield node.item
    for part in _parts(node):
        yield from _loops(part)


def _first_bytes(spans: Spans) -> Iterator[int]:
    """The first bytes of the characters, in UTF-8."""
    for low, high in spans:
        yield from range(low, min(high, 127) + 1)
        if high > 127:
            yield from range(chr(max(low, 128)).encode()[0], chr(high).encode()[0] + 1)


def _begins_only_with(node: Node, wanted: set[int]) -> bool:
    return all(byte in wanted for spans in _beginnings(node)[0] for byte in _first_bytes(spans))


def _beginnings(node: Node) -> tuple[list[Spans], bool]:
    """The sets that the first character may be from, and whether the empty text matches."""
    if isinstance(node, tuple):
        return [node], False
    if isinstance(node, InSequence):
        found: list[Spans] = []
        for item in node.items:
            begins, empty = _beginnings(item)
            found += begins
            if not empty:
                return found, False
        return found, True
    each = [_beginnings(part) for part in _parts(node)]
    empty = any(is_empty for _, is_empty in each) or (isinstance(node, Repeat) and node.low == 0)
    return [spans for begins, _ in each for spans in begins], empty


def _is_fixed(node: Node) -> bool:
    try:
        return _has_only_single_characters(node) and leaves_no_choice(node)
    except TooLargeError:
        return True


def _swallows(shorter: Node, longer: Node) -> bool:
    try:
        return begins_another(shorter, longer, proper=True) is not None
    except TooLargeError:
        return True
