"""The laws of a constraint: its states are values, and its answers agree with one another."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decodeplug.contracts import Constraint, ConstraintSpec, Vocabulary
from decodeplug.testing.claim import claim

__all__ = ["check_constraint"]

SMALL_VOCABULARY = 1024  # up to here every token is tried in every state


@dataclass(frozen=True)
class _Answers:
    """All that a constraint says of one state."""

    allowed: Tensor
    forced: tuple[int, ...]
    accepting: bool
    complete: bool

    def differs_in(self, other: _Answers) -> str:
        """The first answer that differs, or an empty string."""
        if not torch.equal(self.allowed, other.allowed):
            return "allowed"
        names = ("forced", "accepting", "complete")
        return next((name for name in names if getattr(self, name) != getattr(other, name)), "")


_Visit = tuple[tuple[int, ...], Any, _Answers]
"""The tokens that led to a state, the state, and what was said of it."""


def check_constraint(
    constraint: Constraint | ConstraintSpec,
    vocabulary: Vocabulary,
    *,
    texts_accepted: Sequence[str] = (),
    texts_rejected: Sequence[str] = (),
    canonical: bool = False,
    states: int = 60,
    seed: int = 0,
) -> None:
    """Check that a constraint keeps its contract (``decodeplug.contracts.Constraint``).

    Random walks grow a tree of states, forks included. Every answer is asked for twice,
    later again in another order, and once more along a replay of each path.

    :param constraint: A compiled constraint, or a spec, which is compiled here.
    :param texts_accepted: Texts that it must allow, and the end after them.
    :param texts_rejected: Texts that it must not allow, or not with the end after them.
    :param canonical: True for an engine whose masks leave only the tokenizer's own spelling where the
        text is forced. Then ``advance`` may take tokens that the mask lacks, never the other way round.
    :param states: How many states the walks visit. In each, every token of a vocabulary of up
        to 1024 ids is tried, and a sample of 256 of a larger one.
    :param seed: Another seed, other walks.
    :raises AssertionError: A law is broken; the message says which, and after which tokens.
    """
    compiled = _compiled(constraint, vocabulary, texts_accepted)
    chance = random.Random(seed)
    hash(compiled.start())
    visited = _walk(compiled, vocabulary, states, chance, canonical)
    for index in chance.sample(range(len(visited)), len(visited)):
        path, state, answers = visited[index]
        difference = _ask(compiled, state).differs_in(answers)
        claim(not difference, f"a state is not a value: after {path}, {difference} changed while other states went on")
    for path, _, answers in chance.sample(visited, min(len(visited), 20)):
        difference = _ask(compiled, _replay(compiled, path)).differs_in(answers)
        claim(not difference, f"walking {path} again from the start gives another answer: {difference}")
    spoken = getattr(compiled, "spoken_ids", frozenset[int]())
    for text in texts_accepted:
        for index, spelling in enumerate(_spellings(vocabulary, text, spoken)):
            _check_accepted(compiled, text, spelling, by_mask=index == 0 or not canonical)
    for text in texts_rejected:
        for spelling in _spellings(vocabulary, text, spoken):
            state = _replay(compiled, spelling)
            claim(state is None or not compiled.is_accepting(state), f"{text!r} was accepted, spelt {spelling}")


def _compiled(constraint: Any, vocabulary: Vocabulary, texts: Sequence[str]) -> Constraint:
    if not hasattr(constraint, "compile"):
        return constraint
    claim(hash(constraint.key()) == hash(constraint.key()), "key() of the spec differs from call to call")
    claim(constraint.key() == constraint.key(), "key() of the spec differs from call to call")
    for text in texts:
        try:
            constraint.value(text)
        except Exception as error:
            raise AssertionError(f"value() refuses {text!r}, which shall be accepted: {error}") from error
    return constraint.compile(vocabulary)


def _ask(constraint: Constraint, state: Any) -> _Answers:
    return _Answers(
        constraint.allowed(state).clone(),
        tuple(constraint.forced(state)),
        constraint.is_accepting(state),
        constraint.is_complete(state),
    )


def _walk(
    constraint: Constraint, vocabulary: Vocabulary, states: int, chance: random.Random, canonical: bool
) -> list[_Visit]:
    """Visit states, mostly going on from the last one and now and then forking from an earlier one."""
    root = constraint.start()
    visited: list[_Visit] = [((), root, _checked_state(constraint, vocabulary, (), root, chance, canonical))]
    open_ends = [0]
    while len(visited) < states and open_ends:
        at = open_ends[-1] if chance.random() < 0.7 else chance.choice(open_ends)
        path, state, answers = visited[at]
        choices = answers.allowed.nonzero()[:, 0].tolist()
        if not choices:
            open_ends.remove(at)
            continue
        if len(choices) == 1:
            open_ends.remove(at)
        chance.shuffle(choices)
        token = choices[0]
        if _refuses_late(constraint):
            token = next((token for token in choices if constraint.advance(state, token) is not None), token)
            if constraint.advance(state, token) is None:
                open_ends = [index for index in open_ends if index != at]
                continue
        following, longer = constraint.advance(state, token), (*path, token)
        claim(following is not None, f"a state is not a value: after {path}, {token} was allowed and is now refused")
        visited.append(
            (longer, following, _checked_state(constraint, vocabulary, longer, following, chance, canonical))
        )
        open_ends.append(len(visited) - 1)
    return visited


def _checked_state(
    constraint: Constraint,
    vocabulary: Vocabulary,
    path: tuple[int, ...],
    state: Any,
    chance: random.Random,
    canonical: bool,
) -> _Answers:
    """Check what holds of every single state, and return the answers."""
    answers = _ask(constraint, state)
    allowed = answers.allowed
    claim(
        allowed.dtype == torch.bool and list(allowed.shape) == [vocabulary.size] and allowed.device.type == "cpu",
        f"allowed after {path} is {allowed.dtype} {list(allowed.shape)} on {allowed.device}, "
        f"not torch.bool [{vocabulary.size}] on cpu",
    )
    for end in vocabulary.end_ids:
        claim(not bool(allowed[end]), f"end token {end} is allowed after {path}: ends are the loop's business")
    _check_advance(constraint, vocabulary, path, state, answers, chance, canonical)
    anything = bool(allowed.any())
    claim(
        answers.complete == (answers.accepting and not anything),
        f"is_complete is {answers.complete} after {path}, but accepting is {answers.accepting} "
        f"and {'something' if anything else 'nothing'} is allowed",
    )
    if anything and not answers.accepting and _refuses_late(constraint):
        tokens = allowed.nonzero()[:, 0].tolist()
        anything = any(constraint.advance(state, token) is not None for token in tokens)
    claim(answers.accepting or anything, f"dead end: after {path} nothing is allowed, and the text may not end")
    _check_forced(constraint, path, state, answers)
    return answers


def _check_advance(
    constraint: Constraint,
    vocabulary: Vocabulary,
    path: tuple[int, ...],
    state: Any,
    answers: _Answers,
    chance: random.Random,
    canonical: bool,
) -> None:
    for token in _tokens_to_try(answers.allowed, chance):
        following = constraint.advance(state, token)
        allowed = bool(answers.allowed[token])
        claim(
            (following is not None) == allowed
            or (canonical and not allowed)
            or (allowed and _refuses_late(constraint)),
            f"after {path}, token {token} is {'' if allowed else 'not '}allowed, "
            f"but advance {'refuses' if following is None else 'takes'} it",
        )
        if following is not None and chance.random() < 0.1:
            twice = constraint.advance(state, token)
            claim(twice is not None, f"after {path}, token {token} can be advanced only once")
            difference = _ask(constraint, following).differs_in(_ask(constraint, twice))
            claim(
                not difference, f"after {path}, advancing by {token} twice gives two states that differ in {difference}"
            )
    for token in (*vocabulary.end_ids, vocabulary.size, vocabulary.size + 7):
        claim(constraint.advance(state, token) is None, f"after {path}, advance takes {token}, no token of a text")
    difference = _ask(constraint, state).differs_in(answers)
    claim(not difference, f"advance changes its state: {difference} after {path} is not what it was")


def _refuses_late(constraint: Constraint) -> bool:
    return bool(getattr(constraint, "refuses_late", False))


def _tokens_to_try(allowed: Tensor, chance: random.Random) -> list[int]:
    if len(allowed) <= SMALL_VOCABULARY:
        return list(range(len(allowed)))
    yes, no = allowed.nonzero()[:, 0].tolist(), (~allowed).nonzero()[:, 0].tolist()
    return chance.sample(yes, min(len(yes), 128)) + chance.sample(no, min(len(no), 128))


def _check_forced(constraint: Constraint, path: tuple[int, ...], state: Any, answers: _Answers) -> None:
    """Forced tokens need not be the only ones, but they must be a path."""
    for index, token in enumerate(answers.forced):
        following = constraint.advance(state, token)
        claim(following is not None, f"forced {answers.forced} after {path} is no path: token {index} is not allowed")
        state = following


def _replay(constraint: Constraint, path: Sequence[int]) -> Any | None:
    state: Any = constraint.start()
    for token in path:
        state = constraint.advance(state, token)
        if state is None:
            return None
    return state


def _spellings(vocabulary: Any, text: str, spoken: frozenset[int]) -> list[list[int]]:
    """The tokenizer's own spelling, and byte by byte where every byte is a token.

    :param spoken: Special ids that the constraint allows as the text of their names.
    """
    single = {
        vocabulary.token_bytes(token): token for token in range(vocabulary.size) if token not in vocabulary.end_ids
    }
    spellings = [vocabulary.encode(text, spoken) if spoken else vocabulary.encode(text)]
    raw = text.encode()
    if all(raw[i : i + 1] in single for i in range(len(raw))):
        spellings.append([single[raw[i : i + 1]] for i in range(len(raw))])
    return spellings


def _check_accepted(constraint: Constraint, text: str, spelling: Sequence[int], *, by_mask: bool) -> None:
    state: Any = constraint.start()
    for index, token in enumerate(spelling):
        allowed = not by_mask or bool(constraint.allowed(state)[token])
        claim(allowed, f"{text!r} is not allowed from token {index} of {spelling} on")
        state = constraint.advance(state, token)
        claim(state is not None, f"{text!r} stops at token {index} of {spelling}")
    claim(constraint.is_accepting(state), f"{text!r} is allowed, but may not end there")
