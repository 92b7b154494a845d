"""How a law is stated: as a sentence that is true, or is raised."""

from __future__ import annotations

from typing import Any

__all__ = ["claim", "declared_name"]


def claim(holds: bool, sentence: str) -> None:
    """Raise ``AssertionError(sentence)`` unless it holds; also under ``python -O``."""
    if not holds:
        raise AssertionError(sentence)


def declared_name(part: Any) -> str:
    """The name that a part declares.

    :raises AssertionError: It declares none.
    """
    name = getattr(part, "name", None)
    if not isinstance(name, str) or not name:
        raise AssertionError(f"{type(part).__name__} does not declare its name: {name!r}")
    return name
