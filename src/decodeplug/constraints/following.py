"""Where a constraint is after several tokens, and whether its text may end there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decodeplug.contracts import Constraint

__all__ = ["ends_after", "followed"]


def followed(constraint: Constraint, state: Any, ids: Sequence[int]) -> Any | None:
    """The state after these ids, or None if one of them is refused."""
    for token in ids:
        state = constraint.advance(state, token)
        if state is None:
            return None
    return state


def ends_after(constraint: Constraint, state: Any, ids: Sequence[int]) -> bool:
    """May the text go on with these ids, and end there? A constraint with ``ends_after`` says so faster itself."""
    known = getattr(constraint, "ends_after", None)
    if known is not None:
        return known(state, ids)
    after = followed(constraint, state, ids)
    return after is not None and constraint.is_accepting(after)
