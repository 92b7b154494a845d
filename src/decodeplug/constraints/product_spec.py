"""Several constraints at once: a text must satisfy all of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.constraints.any_spelling import AnySpelling
from decodeplug.constraints.as_spec import as_specs
from decodeplug.constraints.compiled import compile_grammar, first_line
from decodeplug.constraints.expressions import expression_of, is_lexical
from decodeplug.constraints.intersection import Intersection
from decodeplug.contracts import Constraint, ConstraintSpec, Vocabulary
from decodeplug.errors import Unsatisfiable, UnsupportedGrammar

__all__ = ["Product", "product"]


@dataclass(frozen=True, slots=True)
class Product:
    """Texts that every part allows. Made by :func:`product`.

    :raises BadOption: There is no part, or one is no constraint.
    """

    parts: tuple[Any, ...]
    kind: ClassVar[str] = "product"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", as_specs(self.kind, self.parts))

    def key(self) -> Hashable:
        return tuple((type(part), part.kind, part.key()) for part in self.parts)

    def expression(self) -> str | None:
        """All parts as one expression of the engine's grammar, if each has one."""
        return expression_of(self.parts, "&")

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary.

        :raises Unsatisfiable: Some part, or all together, can be satisfied by no text.
        :raises UnsupportedGrammar: A part cannot be enforced, or together they explode.
        """
        together = [part for part in self.parts if is_lexical(part)]
        if len(together) == len(self.parts):
            return self._one(together, vocabulary)
        others: list[ConstraintSpec] = [part for part in self.parts if not is_lexical(part)]
        free = AnySpelling.of(vocabulary)
        compiled = [part.compile(free) for part in others]
        names = [part.kind for part in others]
        if together:
            compiled.append(self._one(together, free))
            names += [part.kind for part in together]
        if len(compiled) == 1:
            return others[0].compile(vocabulary)
        constraint = Intersection(f"{self.kind} of {', '.join(names)}", compiled, vocabulary.size)
        if constraint.is_dead(constraint.start()):
            raise Unsatisfiable(constraint.kind, because="no text can begin in a way that all of them allow")
        return constraint

    def _one(self, parts: list[Any], vocabulary: Vocabulary) -> Constraint:
        """Parts that are expressions, as one of them: the engine knows where they lead together."""
        whole = Product(tuple(parts))
        expression = whole.expression()
        return compile_grammar(
            self.kind,
            whole.key(),
            vocabulary,
            grammar=lambda: f"start: WHOLE\nWHOLE: {expression}",
            refusal=lambda message: UnsupportedGrammar(self.kind, because=first_line(message)),
            probe=True,
        )

    def value(self, text: str) -> tuple[Any, ...]:
        """The values of all parts, in their order.

        :raises InvalidResult: Some part refuses the text.
        """
        return tuple(part.value(text) for part in self.parts)


def product(*parts: Any) -> Product:
    """Constrain the text to what all of ``parts`` allow; ``r.value`` is the tuple of their values.

    ``regex`` and ``choice`` parts (and products and unions of them) become one expression: exact from the
    first token to the last, and ``Unsatisfiable`` before the first token where no text satisfies all.
    With other parts each token is one that all allow, whatever follows. Whether a text can then be
    finished is looked ahead for as far as forced texts reach, and a few tokens where few may follow;
    a dead end beyond that ends the request with ``Unsatisfiable``, never with an invalid text.

    :param parts: Whatever ``constraint=`` takes, at least one.
    :raises BadOption: There is no part, or one is no constraint.
    """
    return Product(parts)
