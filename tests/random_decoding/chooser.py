"""Write at random under a compiled constraint, by the rules by which the loop does, without a model.

A model at an endless temperature chooses like this: any token of the mask is as likely as another. So what is
written here, a model may write too.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from decodeplug.constraints import within_budget
from decodeplug.contracts import Constraint, ConstraintSpec
from decodeplug.errors import BudgetTooSmall
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

__all__ = ["VOCABULARIES", "DeadEndError", "Written", "needed", "texts_of", "write"]

VOCABULARIES = {
    "bytes": Vocabulary(byte_tokenizer(), 259, {258}),
    "merged": Vocabulary(bpe_tokenizer(), 515, {514}),
}
REFUSALS = 24  # tokens of one place that may be refused one by one, as in the loop
LONGEST = 160  # tokens of a text to which no budget is promised
EXTRAS = (0, 0, 1, 2, 3, 5, 9, 20, 60)  # tokens above the least that is promised to suffice
_CLOSING = b'"]},:.;>)\n '
_PLAIN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class DeadEndError(AssertionError):
    """The mask is empty, or every token of it was refused, and the text may not end."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    :ivar text: Byte for byte. :ivar count: Its tokens. :ivar budget: How many it might have had.
    :ivar is_whole: It may end where it does. :ivar is_promised: It had to be whole within the budget.
    """

    text: str
    count: int
    budget: int
    is_whole: bool
    is_promised: bool


def write(constraint: Any, vocabulary: Vocabulary, budget: int, chance: random.Random, *, promised: bool) -> Written:
    """One random text of at most ``budget`` tokens.

    :param constraint: Held to the budget, if ``promised``.
    :raises DeadEndError: With the text so far.
    """
    state, ids, taste = constraint.start(), [], _Taste(vocabulary, chance)
    while True:
        ends = constraint.is_accepting(state)
        is_over = len(ids) >= budget or constraint.is_complete(state) or (ends and chance.random() < taste.eagerness)
        if is_over:
            return Written(vocabulary.decode(ids), len(ids), budget, ends, promised)
        token, after = _chosen(constraint, state, taste)
        if token is None:
            if not ends:
                raise DeadEndError(f"after {len(ids)} of {budget} tokens: {vocabulary.decode(ids)!r}")
            return Written(vocabulary.decode(ids), len(ids), budget, ends, promised)
        ids.append(token)
        state = after


def _chosen(constraint: Any, state: Any, taste: _Taste) -> tuple[int | None, Any]:
    """A token that stands, and the state after it; None where there is none."""
    mask = constraint.allowed(state).numpy().copy()
    for refusals in range(mask.size):
        if refusals == REFUSALS and (ids := getattr(constraint, "surely", lambda _: ())(state)):
            mask[:] = False
            mask[list(ids)] = True
        if not mask.any():
            return None, None
        token = taste.pick(mask)
        after = constraint.advance(state, token)
        if after is not None:
            return token, after
        assert getattr(constraint, "refuses_late", False), f"the mask allowed {token}, and advance does not"
        mask[token] = False
    return None, None


class _Taste:
    """What one text likes, so that texts differ: how soon to end, and tokens of which kind to prefer."""

    def __init__(self, vocabulary: Vocabulary, chance: random.Random) -> None:
        self._chance = chance
        self.eagerness = chance.choice([0.0, 0.1, 0.5, 0.9])
        self._kinds = [None, None, *_kinds(vocabulary)]
        chance.shuffle(self._kinds)

    def pick(self, mask: np.ndarray) -> int:
        """One of the tokens of ``[vocab]`` bool, which has one at least."""
        kind = self._kinds[min(int(self._chance.expovariate(1.0)), len(self._kinds) - 1)]
        liked = mask if kind is None or not (mask & kind).any() else mask & kind
        tokens = np.flatnonzero(liked)
        return int(tokens[self._chance.randrange(len(tokens))])


_KINDS: dict[str, list[np.ndarray]] = {}


def _kinds(vocabulary: Vocabulary) -> list[np.ndarray]:
    """Tokens that end something, and plain ones, as ``[vocab]`` bool."""
    if vocabulary.fingerprint not in _KINDS:
        texts = [vocabulary.token_bytes(token) for token in range(vocabulary.size)]
        _KINDS[vocabulary.fingerprint] = [
            np.array([bool(text) and all(byte in kind for byte in text) for text in texts])
            for kind in (_CLOSING, _PLAIN)
        ]
    return _KINDS[vocabulary.fingerprint]


def needed(constraint: Constraint, key: Hashable, vocabulary: Vocabulary) -> int | None:
    """The least budget that is promised to suffice; None where none is promised."""
    try:
        return None if within_budget(constraint, key, vocabulary, 0) is None else 0
    except BudgetTooSmall as error:
        return error.needed


def texts_of(
    spec: ConstraintSpec, constraint: Constraint, vocabulary: Vocabulary, chance: random.Random, count: int
) -> Iterator[Written]:
    """Random texts, each within a budget of its own, where one is promised.

    :param constraint: The spec, compiled.
    """
    key = (spec.kind, spec.key())
    least = needed(constraint, key, vocabulary)
    for _ in range(count):
        if least is None:
            yield write(constraint, vocabulary, LONGEST, chance, promised=False)
            continue
        budget = least + chance.choice(EXTRAS)
        held = within_budget(constraint, key, vocabulary, budget)
        assert held is not None, "the budget that is needed was told, and now no text is found"
        yield write(held, vocabulary, budget, chance, promised=True)
