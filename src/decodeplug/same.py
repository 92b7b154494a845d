"""Are two values equal? Also where somebody's ``==`` raises or answers with a tensor."""

from __future__ import annotations

__all__ = ["same"]


def same(one: object, other: object) -> bool:
    """Identity, or an equality that says plainly True; anything else counts as different."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # a dataclass with a tensor in it compares to a tensor of many truths
        return False
