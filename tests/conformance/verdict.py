"""What a constraint makes of one schema of the suite and of its instances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from conformance.suite import Case, Group
from conformance.writing import forms

from decodeplug.constraints import accepts, json_schema
from decodeplug.errors import DecodeplugError, InvalidResult, Unsatisfiable, UnsupportedSchema
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

__all__ = ["UNSATISFIABLE", "Outcome", "Refusal", "Verdict", "verdict_of"]

BYTES = Vocabulary(byte_tokenizer(), 259, {258})

UNSATISFIABLE = frozenset(
    [
        ("allOf", "allOf with boolean schemas, all false"),
        ("allOf", "allOf with boolean schemas, some false"),
        ("anyOf", "anyOf with boolean schemas, all false"),
        ("boolean_schema", "boolean schema 'false'"),
        ("enum", "empty enum"),
        ("not", "forbid everything with boolean schema true"),
        ("not", "forbid everything with empty schema"),
        ("oneOf", "oneOf with boolean schemas, all false"),
        ("oneOf", "oneOf with boolean schemas, all true"),
        ("oneOf", "oneOf with boolean schemas, more than one true"),
        ("ref", "$ref to boolean schema false"),
    ]
)
"""The suite's schemas that no value satisfies. Other schemas without a valid instance have some that are not tested."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error before the first token. :ivar kind: Its class."""

    kind: str
    keyword: str
    pointer: str
    because: str

    @classmethod
    def of(cls, error: Exception) -> Refusal:
        keyword, pointer = getattr(error, "keyword", ""), getattr(error, "pointer", "")
        return cls(type(error).__name__, keyword, pointer, str(getattr(error, "because", error)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance.

    :ivar text: The form that the masks allow, or else the first one. :ivar allowed: The masks allow it.
    :ivar moved: It had to be written with its keys in another order than the schema's.
    :ivar because: Why the last check refuses what the masks allow, or how asking failed.
    """

    case: Case
    text: str
    allowed: bool
    moved: bool = False
    because: str = ""

    @property
    def wrongly_accepted(self) -> bool:
        return self.allowed and not self.case.valid

    @property
    def slips_through(self) -> bool:
        """Wrongly accepted, and the last check does not refuse it either."""
        return self.wrongly_accepted and not self.because

    @property
    def wrongly_rejected(self) -> bool:
        return self.case.valid and (not self.allowed or bool(self.because))


@dataclass(frozen=True)
class Verdict:
    """One schema: refused, or judged by its instances. Either ``refusal`` or ``outcomes`` is empty."""

    group: Group
    refusal: Refusal | None = None
    outcomes: tuple[Outcome, ...] = ()

    @cached_property
    def kind(self) -> str:
        """ "right", "refused" or "wrong".

        Right: every valid instance is accepted and every invalid one rejected; or nothing satisfies the
        schema, and that is what the refusal says.
        """
        nothing_satisfies = (self.group.keyword, self.group.description) in UNSATISFIABLE
        if self.refusal is None:
            faults = any(outcome.wrongly_accepted or outcome.wrongly_rejected for outcome in self.outcomes)
            return "wrong" if faults or nothing_satisfies else "right"
        if self.refusal.kind == Unsatisfiable.__name__:
            return "right" if nothing_satisfies or not any(case.valid for case in self.group.cases) else "wrong"
        return "refused" if self.refusal.kind == UnsupportedSchema.__name__ else "wrong"

    def count(self, claim: str) -> int:
        """How many instances ``claim`` (a property of :class:`Outcome`) is true of."""
        return sum(bool(getattr(outcome, claim)) for outcome in self.outcomes)


def verdict_of(group: Group, registry: Any) -> Verdict:
    """Compile one schema and try its instances.

    :param registry: For references to other documents.
    """
    try:
        spec = json_schema(group.schema, "any", formats=group.formats, draft=group.draft, registry=registry)
        constraint = spec.compile(BYTES)
    except Exception as error:  # also what no caller should ever see: it is counted as wrong
        return Verdict(group, Refusal.of(error))
    return Verdict(group, outcomes=tuple(_outcome(case, group.schema, spec, constraint) for case in group.cases))


def _outcome(case: Case, schema: Any, spec: Any, constraint: Any) -> Outcome:
    texts = list(forms(case.value, schema))
    try:
        for number, text in enumerate(texts):
            if accepts(constraint, BYTES, text):
                return Outcome(case, text, True, number > 0, _refused_by_the_last_check(spec, text))
    except DecodeplugError as error:
        return Outcome(case, texts[0], False, because=f"{type(error).__name__}: {error}")
    return Outcome(case, texts[0], False)


def _refused_by_the_last_check(spec: Any, text: str) -> str:
    try:
        spec.value(text)
    except InvalidResult as error:
        return error.because
    return ""
