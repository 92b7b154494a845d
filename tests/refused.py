"""A schema that is refused when it is compiled, before the first token, and not earlier."""

from __future__ import annotations

from typing import Any

__all__ = ["REFUSED"]

REFUSED: dict[str, Any] = {"type": "string", "pattern": "^(?:(?:(?:a{1,20}){1,20}){1,20}){1,20}$"}
"""Its pattern explodes after a few characters."""
