"""What the tests of processors are tried on: rows of scores and the prefixes before them."""

from __future__ import annotations

import math

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from decodeplug.testing.device import chosen_device
from decodeplug.values import Seen

# No deadline: on a busy machine a slow example proves nothing.
tried = settings(deadline=None, max_examples=40)
tried_a_little = settings(deadline=None, max_examples=15)  # where there are many parts to try


@st.composite
def score_rows(draw: st.DrawFn, max_vocab: int = 300, ties: bool = True) -> Tensor:
    """``[rows, vocab]`` float32: peaked or flat, some tokens at -inf, never a whole row, sometimes many equal scores."""
    rows, vocab = draw(st.integers(1, 4)), draw(st.integers(2, max_vocab))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scores = torch.randn(rows, vocab, generator=noise) * draw(
        st.sampled_from([0.0 if ties else 0.1, 0.5, 2.0, 8.0, 40.0])
    )
    if ties and draw(st.booleans()):
        scores = scores.round()
    forbidden = torch.rand(rows, vocab, generator=noise) < draw(st.sampled_from([0.0, 0.3, 0.95]))
    forbidden[torch.arange(rows), torch.randint(vocab, (rows,), generator=noise)] = False
    return scores.masked_fill(forbidden, -math.inf).to(chosen_device())


@st.composite
def rows_and_seen(draw: st.DrawFn) -> tuple[Tensor, Seen]:
    """Rows of scores over few tokens, each with a prefix of its own length that repeats itself."""
    scores = draw(score_rows(max_vocab=8))
    vocab = scores.shape[-1]
    ids = [draw(st.lists(st.integers(0, vocab - 1), max_size=12)) for _ in scores]
    return scores, Seen.of(ids, [draw(st.integers(0, len(row))) for row in ids])


def row_by_row(theirs: object, scores: Tensor, seen: Seen) -> Tensor:
    """What a transformers processor gives for each row alone; it takes no ragged batch."""
    rows = zip(seen.ids, scores, strict=True)
    return torch.cat([theirs(torch.tensor([ids], dtype=torch.long, device=row.device), row[None]) for ids, row in rows])
