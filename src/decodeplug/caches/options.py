"""What the options of caches have in common."""

from __future__ import annotations

from typing import Any

from decodeplug.errors import BadOption

__all__ = ["whole_number"]


def whole_number(
    part: str, name: str, value: Any, least: int, most: int | None = None, *, or_none: bool = False
) -> None:
    """Raise :class:`BadOption` if an option is no whole number within these limits; the message may offer None."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= (most or value):
        to = f" and at most {most}" if most else ""
        raise BadOption(part, wanted=f"a whole number of at least {least}{to}{', or None' * or_none}", **{name: value})
