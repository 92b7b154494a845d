"""Texts written at random under a constraint, short enough to be finished."""

from __future__ import annotations

import random

import numpy as np

from decodeplug.contracts import Constraint
from decodeplug.vocabulary import Vocabulary

STRUCTURE = np.isin(np.arange(256), [*b" \n\r,:;.|-+*/=<>()[]{}\"'@_#?&%\\"])
"""Bytes that mean something to most grammars; letters and everything beyond ASCII are mostly filling."""
CLOSING = np.isin(np.arange(256), [*b"\n|)]}>\"';-"])
PLAIN = np.arange(256) < 128


def random_text(constraint: Constraint, vocabulary: Vocabulary, seed: int, most: int = 80) -> str | None:
    """A text that the constraint accepts, or None if none was finished within three times ``most`` tokens.

    :param vocabulary: One whose ids are bytes.
    """
    chance = random.Random(seed)
    state, written = constraint.start(), []
    eagerness = chance.choice([0.1, 0.5, 0.9])  # some texts shall be long
    while len(written) < 3 * most:
        if constraint.is_accepting(state) and (chance.random() < eagerness or len(written) >= most):
            return vocabulary.decode(written)
        allowed = constraint.allowed(state).numpy()
        if not allowed.any():
            return vocabulary.decode(written) if constraint.is_accepting(state) else None
        wanted = allowed[:256] & chance.choice([CLOSING, CLOSING, STRUCTURE, PLAIN, True])
        choices = np.flatnonzero(wanted if wanted.any() else allowed)
        written.append(int(choices[chance.randrange(len(choices))]))
        state = constraint.advance(state, written[-1])
        assert state is not None
    return None
