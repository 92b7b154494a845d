"""Options that are whole numbers."""

from __future__ import annotations

import numbers
from typing import Any

from decodeplug.errors import BadOption

__all__ = ["whole_number"]


def whole_number(
    part: str, name: str, value: Any, least: int, most: int | None = None, *, or_none: bool = False
) -> None:
    """Raise :class:`BadOption` if an option is no whole number within these limits; ``or_none``: nor None."""
    if value is None and or_none:
        return
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    size: Any = value
    if not is_whole or size < least or (most is not None and size > most):
        to = f" and at most {most}" if most else ""
        raise BadOption(part, wanted=f"a whole number of at least {least}{to}{', or None' * or_none}", **{name: value})
