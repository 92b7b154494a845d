"""Would this very text, and then the end, be allowed?"""

from __future__ import annotations

from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import BadOption

__all__ = ["accepts"]


def accepts(constraint: Constraint, vocabulary: Vocabulary, text: str) -> bool:
    """Walk a constraint along a text, without a model.

    Constraints speak of bytes, so any ids that spell the text give the same answer.

    :returns: True if every id may follow and the text may end there. A text that the
        vocabulary cannot spell is never accepted.
    """
    try:
        ids = vocabulary.encode(text)
    except BadOption:
        return False
    towards = getattr(constraint, "towards", None)  # one that looks for an end of each text: here is one
    state = constraint.start() if towards is None else towards(text.encode())
    for token in ids:
        state = constraint.advance(state, token)
        if state is None:
            return False
    return constraint.is_accepting(state)
