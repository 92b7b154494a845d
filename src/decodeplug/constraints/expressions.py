"""Constraints that are one expression of the mask engine's grammar, and combining those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["expression_of", "is_lexical"]


def is_lexical(part: Any) -> bool:
    """Is this constraint one expression, such as a regular one?"""
    expression = getattr(part, "expression", None)
    return callable(expression) and expression() is not None


def expression_of(parts: Sequence[Any], operator: str) -> str | None:
    """One expression made of those of all parts; None if one of them has none.

    :param operator: ``&`` (all) or ``|`` (any).
    """
    if not all(map(is_lexical, parts)):
        return None
    return "(" + f" {operator} ".join(part.expression() for part in parts) + ")"
