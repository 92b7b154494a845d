"""A constraint that hides what it is."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.contracts import Constraint, ConstraintSpec


@dataclass(frozen=True)
class Opaque:
    """A constraint of which nobody knows that it is a regular expression."""

    inner: ConstraintSpec
    kind: ClassVar[str] = "opaque"

    def key(self) -> Hashable:
        return self.inner.key()

    def compile(self, vocabulary: Any) -> Constraint:
        return self.inner.compile(vocabulary)

    def value(self, text: str) -> Any:
        return self.inner.value(text)
