"""One of several constraints: which one, the text decides while it is written."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.constraints.alternatives import Alternatives
from decodeplug.constraints.as_spec import as_specs
from decodeplug.constraints.expressions import expression_of
from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import InvalidResult, Unsatisfiable

__all__ = ["Union", "union"]


@dataclass(frozen=True, slots=True)
class Union:
    """Texts that some part allows. Made by :func:`union`.

    :raises BadOption: There is no part, or one is no constraint.
    """

    parts: tuple[Any, ...]
    kind: ClassVar[str] = "union"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", as_specs(self.kind, self.parts))

    def key(self) -> Hashable:
        return tuple((type(part), part.kind, part.key()) for part in self.parts)

    def expression(self) -> str | None:
        """All parts as one expression of the engine's grammar, if each has one."""
        return expression_of(self.parts, "|")

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary. A part that nothing satisfies is left out.

        :raises Unsatisfiable: No text satisfies any of them.
        """
        compiled: list[Constraint] = []
        reasons: list[str] = []
        for part in self.parts:
            try:
                compiled.append(part.compile(vocabulary))
            except Unsatisfiable as error:
                reasons.append(error.because)
        if not compiled:
            raise Unsatisfiable(self.kind, because=f"none of its parts can be satisfied ({'; '.join(reasons)})")
        names = ", ".join(part.kind for part in self.parts)
        return Alternatives(f"{self.kind} of {names}", compiled, vocabulary.size)

    def value(self, text: str) -> Any:
        """The value of the first part, in their order, that accepts the text.

        :raises InvalidResult: None does; what the last one said is the cause.
        """
        refusals: list[InvalidResult] = []
        for part in self.parts:
            try:
                return part.value(text)
            except InvalidResult as error:
                refusals.append(error)
        because = "; ".join(f"{part.kind}: {said.because}" for part, said in zip(self.parts, refusals, strict=True))
        raise InvalidResult(text, because=f"no part of the union accepts it ({because})") from refusals[-1]


def union(*parts: Any) -> Union:
    """Constrain the text to what any of ``parts`` allows.

    ``r.value`` is the value of the first part, in their order, that accepts the text. Every text of every part
    can be written. A text gets stuck only where all parts that are left would be.

    :param parts: Whatever ``constraint=`` takes, at least one.
    :raises BadOption: There is no part, or one is no constraint.
    """
    return Union(parts)
