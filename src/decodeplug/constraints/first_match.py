"""Which of several possible matches Python takes, and where two terminals can be mistaken for each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from decodeplug.constraints.terminal_automaton import MATCH, Alphabet, Automaton, TooLargeError
from decodeplug.constraints.terminal_syntax import Node

__all__ = ["FirstMatch", "begins_another", "first_match", "leaves_no_choice"]

S = TypeVar("S", bound=tuple[Collection[Any], ...])

_EFFORT = 300_000  # positions looked at; about a second

_Positions = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FirstMatch:
    """Which match Python takes.

    :ivar longest: Always the longest of all. :ivar shortest: Always the shortest of all.
    :ivar example: A text that matches as a whole, of which Python takes a part only; empty if ``longest``.
    """

    longest: bool
    shortest: bool
    example: str = ""


@lru_cache(1024)
def first_match(node: Node) -> FirstMatch:
    """Find out which match Python takes of an expression that does not match the empty text.

    :raises TooLargeError: It could not be found out with reasonable effort.
    """
    alphabet = Alphabet()
    automaton = Automaton(node, alphabet)
    letters = alphabet.letters()

    def following(state: tuple[_Positions, frozenset[int]]) -> Iterator[tuple[str, tuple[_Positions, frozenset[int]]]]:
        for letter, kind in letters:
            every = frozenset(automaton.after(state[1], kind, cut=False))
            if every:
                yield letter, (automaton.after(state[0], kind, cut=True), every)

    start = automaton.start(cut=True), frozenset(automaton.start(cut=False))
    example = next(
        (text for (ordered, every), text in _walk(start, following) if MATCH in every and MATCH not in ordered), ""
    )
    if not example:
        return FirstMatch(True, False)

    def before_match(
        state: tuple[_Positions, frozenset[int]],
    ) -> Iterator[tuple[str, tuple[_Positions, frozenset[int]]]]:
        return iter(()) if MATCH in state[1] else following(state)

    ends = [ordered for (ordered, every), _ in _walk(start, before_match) if MATCH in every]
    return FirstMatch(False, all(ordered == (MATCH,) for ordered in ends), example)


@lru_cache(4096)
def begins_another(one: Node, other: Node, *, proper: bool = False) -> str | None:
    """A text that matches ``one`` and with which a match of ``other`` begins (or is); None if there is none.

    :param proper: The match of ``other`` must go on after it.

    :raises TooLargeError: It could not be found out with reasonable effort.
    """
    alphabet = Alphabet()
    first, second = Automaton(one, alphabet), Automaton(other, alphabet)
    letters = alphabet.letters()

    def following(
        state: tuple[frozenset[int], frozenset[int]],
    ) -> Iterator[tuple[str, tuple[frozenset[int], frozenset[int]]]]:
        for letter, kind in letters:
            after = (
                frozenset(first.after(state[0], kind, cut=False)),
                frozenset(second.after(state[1], kind, cut=False)),
            )
            if all(after):
                yield letter, after

    start = frozenset(first.start(cut=False)), frozenset(second.start(cut=False))
    for (here, there), text in _walk(start, following):
        if MATCH in here and (not proper or there != {MATCH}):
            return text
    return None


def leaves_no_choice(node: Node) -> bool:
    """True if at most one kind of character may follow wherever a match has got to.

    :raises TooLargeError: It could not be found out with reasonable effort.
    """
    alphabet = Alphabet()
    automaton = Automaton(node, alphabet)
    letters = alphabet.letters()

    def following(state: tuple[frozenset[int]]) -> Iterator[tuple[str, tuple[frozenset[int]]]]:
        for letter, kind in letters:
            after = frozenset(automaton.after(state[0], kind, cut=False))
            if after:
                yield letter, (after,)

    start = (frozenset(automaton.start(cut=False)),)
    return all(len(list(following(state))) <= 1 for state, _ in _walk(start, following))


def _walk(start: S, following: Callable[[S], Iterator[tuple[str, S]]]) -> Iterator[tuple[S, str]]:
    """All states that can be reached, each with a shortest text that leads there, those of shorter texts first."""
    texts = {start: ""}
    unfinished = [start]
    effort = 0
    for state in unfinished:
        yield state, texts[state]
        for letter, after in following(state):
            effort += sum(map(len, after))
            if effort > _EFFORT:
                raise TooLargeError
            if after not in texts:
                texts[after] = texts[state] + letter
                unfinished.append(after)
