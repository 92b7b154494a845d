"""A short run against the oracle, for models whose family nobody has measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from decodeplug.contracts import Session

__all__ = ["agrees"]

TEXTS = ((2, 5, 3, 7, 11, 4, 9, 6, 3, 10, 8, 5), (6, 3, 8, 5, 7, 4))
"""Small ids, which every vocabulary has."""


def agrees(session: Session, oracle: Session, dtype: torch.dtype) -> bool:
    """Do two lanes of different length, with a dropped draft, give the oracle's logits?

    Half precision is held to what its rounding allows, so it sees only gross errors:
    a mask that is not applied, positions that are another lane's.
    """
    session.keep([-1] * len(TEXTS), [0] * len(TEXTS))
    oracle.keep([-1] * len(TEXTS), [0] * len(TEXTS))
    held, lengths = [0] * len(TEXTS), [len(text) - 2 for text in TEXTS]
    for step in range(3):
        texts = [list(text[:length]) for text, length in zip(TEXTS, lengths, strict=True)]
        drafts = [[10, 12] if step == 1 and lane == 0 and session.max_draft != 0 else [] for lane in range(len(TEXTS))]
        whole = [text + draft for text, draft in zip(texts, drafts, strict=True)]
        wants = [len(draft) + 1 for draft in drafts]
        given = session.forward([text[start:] for text, start in zip(whole, held, strict=True)], wants)
        expected = oracle.forward(whole, wants)
        # Many models compute parts in float32 whatever their weights are.
        bound = 100 * max(torch.finfo(dtype).eps, 1e-7) * max(float(expected.abs().max()), 1.0)
        if not (given - expected).abs().max() <= bound:
            return False
        held = session.keep(list(range(len(TEXTS))), lengths)
        oracle.keep(list(range(len(TEXTS))), lengths)
        lengths = [length + 1 for length in lengths]
    return True
