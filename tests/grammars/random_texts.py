"""Texts written at random under a constraint, short enough to be finished."""

from __future__ import annotations

import random

import numpy as np

from decodeplug.contracts import Constraint
from decodeplug.vocabulary import Vocabulary

STRUCTURE = frozenset(b" \n\r,:;.|-+*/=<>()[]{}\"'@_#?&%\\")
"""Bytes that mean something to most grammars; letters and everything beyond ASCII are mostly filling."""
CLOSING = frozenset(b"\n|)]}>\"';-")


def random_text(constraint: Constraint, vocabulary: Vocabulary, seed: int, most: int = 80) -> str | None:
    """A text that the constraint accepts, or None if none was finished within three times ``most`` tokens.

    :param vocabulary: One whose tokens are single bytes.
    """
    chance = random.Random(seed)
    state, written = constraint.start(), []
    eagerness = chance.choice([0.1, 0.5, 0.9])  # some texts shall be long
    while len(written) < 3 * most:
        if constraint.is_accepting(state) and (chance.random() < eagerness or len(written) >= most):
            return vocabulary.decode(written)
        choices = np.flatnonzero(constraint.allowed(state).numpy()).tolist()
        if not choices:
            return vocabulary.decode(written) if constraint.is_accepting(state) else None
        structure = [token for token in choices if vocabulary.token_bytes(token)[0] in STRUCTURE]
        plain = [token for token in choices if vocabulary.token_bytes(token)[0] < 128]
        closing = [token for token in structure if vocabulary.token_bytes(token)[0] in CLOSING]
        pool = chance.choice([closing, closing, structure, plain, choices])
        written.append(chance.choice(pool or choices))
        state = constraint.advance(state, written[-1])
        assert state is not None
    return None
