"""A constraint by a JSON schema, or by a Python type that has one; and what becomes of each keyword."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import decodeplug
from decodeplug.constraints.byte_vocabulary import ByteVocabulary
from decodeplug.constraints.laid_out import in_layout
from decodeplug.constraints.lenient import leniently
from decodeplug.constraints.schema_check import dialect
from decodeplug.constraints.schema_report import Explained
from decodeplug.constraints.schema_spec import JsonSchema
from decodeplug.constraints.tidy import Tidied
from decodeplug.plugin import Constraint, Unsatisfiable, UnsupportedSchema, Vocabulary
from xgrammar import Grammar

from decodeplug_xgrammar.converter import grammar_of
from decodeplug_xgrammar.engine import compile_grammar
from decodeplug_xgrammar.normal_form import NormalForm, normal_form

__all__ = ["XGrammarJsonSchema", "explain", "json_schema"]


@dataclass(frozen=True, slots=True)
class XGrammarJsonSchema:
    """JSON texts that a schema allows. Made by :func:`json_schema`.

    :ivar plain: The same for the built-in engine: it checks the schema, and judges the finished text.
    """

    plain: JsonSchema
    kind: ClassVar[str] = "xgrammar-json-schema"

    @property
    def schema(self) -> Any:
        """The schema, a fresh copy."""
        return self.plain.schema

    @property
    def dropped(self) -> tuple[str, ...]:
        """What ``lenient=True`` left out, in sentences."""
        return self.plain.dropped

    def key(self) -> Hashable:
        return self.plain.key()

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary; from the cached compilation where there is one.

        :raises UnsupportedSchema: XGrammar would not enforce a keyword; with its place and the reason.
        :raises Unsatisfiable: No value satisfies the schema.
        """
        ready = self.plain.prepared()
        layout = "compact" if self.plain.layout == "model" and ready.is_scalar else self.plain.layout
        masks = in_layout(self.kind, layout, self._masks, vocabulary)
        return masks if ready.is_closed else Tidied(masks, vocabulary.token_bytes)

    def _masks(self, layout: str, vocabulary: Vocabulary) -> Constraint:
        return compile_grammar(
            self.kind,
            (self.key(), layout),
            vocabulary,
            grammar=lambda: self._grammar(layout),
            refusal=lambda message: UnsupportedSchema("", "", because=f"XGrammar refuses it: {message}"),
        )

    def _grammar(self, layout: str) -> Grammar:
        form = self.form(layout)
        if form.root is False:
            raise Unsatisfiable("JSON schema", because="no value that comes to an end satisfies it")
        if form.refused:
            raise form.refused[0].error()
        return grammar_of(form, layout)

    def form(self, layout: str) -> NormalForm:
        """The normal form of an equal schema in keywords that masks enforce; where that is refused, its own."""
        equal = self._form(self.plain.prepared().engine, layout)
        return equal if equal.root is False or not equal.refused else self.own_form(layout)

    def own_form(self, layout: str) -> NormalForm:
        """The normal form of the schema as it stands."""
        return self._form(self.plain.prepared().plain, layout)

    def _form(self, schema: Any, layout: str) -> NormalForm:
        return normal_form(schema, dialect(self.plain.schema, self.plain.draft), layout)

    def value(self, text: str) -> Any:
        """The parsed value; an instance where a Python type was given.

        :raises InvalidResult: The text is not strict JSON, does not satisfy the schema, or a validator of the type
            refuses it.
        """
        return self.plain.value(text)


def json_schema(
    schema: Any,
    layout: str = "model",
    *,
    formats: Literal["assert", "annotate"] = "assert",
    draft: str | None = None,
    registry: Mapping[str, Any] | None = None,
    lenient: bool = False,
) -> XGrammarJsonSchema:
    """Constrain the text to JSON that satisfies a schema; ``r.value`` is the parsed value.

    The options are those of ``decodeplug.json_schema``. What XGrammar would silently ignore is refused when the
    schema is compiled, before the first token, or left out and warned of with ``lenient=True``.

    :raises BadOption: No schema, or an option that does not exist.
    :raises UnsupportedSchema: It is not a schema of its draft, too large, or refers to what is not there.
    """
    plain = decodeplug.json_schema(schema, layout, formats=formats, draft=draft, registry=registry, lenient=lenient)

    def made(text: str, *, dropped: tuple[str, ...]) -> XGrammarJsonSchema:
        return XGrammarJsonSchema(replace(plain, text=text, dropped=(*plain.dropped, *dropped)))

    return leniently(plain.text, made) if lenient else XGrammarJsonSchema(plain)


def explain(
    schema: Any,
    *,
    formats: Literal["assert", "annotate"] = "assert",
    draft: str | None = None,
    registry: Mapping[str, Any] | None = None,
) -> list[Explained]:
    """What becomes of every keyword that asserts something.

    Each is "mask", "rewritten" (an equal form is in the mask) or "refused". Definitions that nothing refers to are left
    out. A schema that is none, or that nothing satisfies, has one row: what is wrong with it.

    :param schema: What :func:`json_schema` takes, and so are the options.
    :raises BadOption: No schema at all, or an option that does not exist.
    """
    try:
        spec = json_schema(schema, "compact", formats=formats, draft=draft, registry=registry)
        own, form = spec.own_form("compact"), spec.form("compact")
        is_enforced = not form.refused
        if is_enforced or form.root is False:
            spec.compile(ByteVocabulary())
    except (UnsupportedSchema, Unsatisfiable) as error:
        keyword = getattr(error, "keyword", "") or "the schema"
        return [Explained(error.pointer, keyword, "refused", error.because)]
    rows = {pointer: Explained(pointer, keyword, "mask") for pointer, keyword in own.seen.items()}
    for one in own.refused:
        how, because = ("rewritten", "") if is_enforced else ("refused", one.because)
        rows[one.pointer] = Explained(one.pointer, one.keyword, how, because)
    if is_enforced and not spec.plain.prepared().is_closed:
        rows[""] = Explained("", "keys and numbers", "checked", "no key comes twice, and no number overflows")
    return list(rows.values())


vars(json_schema)["explain"] = explain  # for ``decodeplug schema check --engine xgrammar``
