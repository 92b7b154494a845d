"""What the parts of the normal form share: its kinds of values, places in a schema, and unions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

__all__ = ["COUNTS", "TYPES", "Normal", "Path", "Walk", "union"]

TYPES = ("string", "number", "boolean", "null", "array", "object")
"""All types of values; an integer is a number."""

COUNTS = 2**31 - 1
"""How far XGrammar counts characters, items and keys."""

Normal = dict[str, Any] | Literal[False]
"""A schema in normal form: False, or a dict of the keywords that XGrammar keeps."""

Path = tuple[str | int, ...]
"""Where a schema stands, from the top."""


class Walk(Protocol):
    """The walk through a schema, as the rules for each type see it."""

    def normal(self, schema: Any, path: Path) -> Normal:
        """The normal form of a schema inside."""
        ...

    def name(self, body: str) -> str:
        """The name of a rule with this EBNF expression, for others to refer to; the same for the same expression."""
        ...

    def rule(self, body: str) -> Normal:
        """A normal form for exactly the texts of an EBNF expression."""
        ...

    def refuse(self, path: Path, keyword: str, because: str, *steps: str) -> None:
        """A keyword of the schema at ``path``, or what is ``steps`` inside it, has no normal form."""
        ...


def union(options: Iterable[Normal]) -> Normal:
    """A value of any of these."""
    flat: list[dict[str, Any]] = []
    for option in options:
        for one in option["anyOf"] if isinstance(option, dict) and option.keys() == {"anyOf"} else [option]:
            if isinstance(one, dict) and one not in flat:
                flat.append(one)
    if {} in flat:
        return {}
    return {"anyOf": flat} if len(flat) > 1 else (flat[0] if flat else False)
