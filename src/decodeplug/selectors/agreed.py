"""What becomes of a draft of which every row has its choice."""

from __future__ import annotations

from collections.abc import Sequence

from decodeplug.contracts import Rows
from decodeplug.values import Extension

__all__ = ["agreed"]


def agreed(candidates: Sequence[Sequence[int]], rows: Rows) -> list[Extension]:
    """One extension for each lane: its draft up to the first token that was not chosen, and what was chosen there."""
    extensions = []
    for parent, (draft, first) in enumerate(zip(rows.drafts, rows.first, strict=True)):
        count, drafted = 1, draft.tokens
        while count <= len(drafted) and candidates[first + count - 1][0] == drafted[count - 1]:
            count += 1
        chosen = range(first, first + count)
        extensions.append(Extension(parent, (*drafted[: count - 1], candidates[chosen[-1]][0]), chosen))
    return extensions
