"""A constraint by a JSON schema, or by a Python type that has one."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter, ValidationError

from decodeplug.constraints.budget import known_text, search_for
from decodeplug.constraints.character_classes import without_properties
from decodeplug.constraints.compiled import Once, compile_grammar, with_engine
from decodeplug.constraints.hints import hints_of
from decodeplug.constraints.laid_out import in_layout
from decodeplug.constraints.lenient import leniently
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.references import Documents, documents_for
from decodeplug.constraints.regex_spec import Regex
from decodeplug.constraints.schema_check import dialect, refusal
from decodeplug.constraints.schema_engine import Prepared, prepared
from decodeplug.constraints.schema_source import WANTED, schema_of
from decodeplug.constraints.tidy import Tidied
from decodeplug.constraints.witnessed import Witnessed
from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import BadOption, InvalidResult, Unsatisfiable, UnsupportedGrammar, UnsupportedSchema

__all__ = ["JsonSchema", "json_schema"]

NAMED_LAYOUTS = ("model", "spaced", "compact", "any")
_INDENT = re.compile("indent=[1-8]")
_WITNESSES: Once[tuple[int, ...] | None] = Once(128)


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON texts that a schema allows. Made by :func:`json_schema`.

    :ivar text: The schema as JSON text, its keys in their order.
    :ivar adapter: Makes the value, where a Python type was given.
    :ivar documents: Those that the schema refers to. :ivar dropped: What ``lenient=True`` left out, in sentences.
    """

    text: str
    layout: str = "model"
    formats: str = "assert"
    draft: str | None = None
    adapter: TypeAdapter[Any] | None = field(default=None, repr=False)
    documents: Documents = field(default=(), repr=False)
    key_order: str = "schema"
    dropped: tuple[str, ...] = field(default=(), repr=False)
    kind: ClassVar[str] = "json-schema"

    def __post_init__(self) -> None:
        if self.layout not in NAMED_LAYOUTS and not (isinstance(self.layout, str) and _INDENT.fullmatch(self.layout)):
            raise BadOption("json-schema", layout=self.layout, wanted=f"one of {', '.join(NAMED_LAYOUTS)}, indent=2")
        if self.key_order not in ("schema", "any"):
            raise BadOption("json-schema", key_order=self.key_order, wanted="'schema' or 'any'")
        if self.formats not in ("assert", "annotate"):
            raise BadOption("json-schema", formats=self.formats, wanted="'assert' or 'annotate'")
        self.prepared()

    def prepared(self) -> Prepared:
        """The checked schema; cached by content."""
        return prepared(self.text, self.draft, self.formats, self.documents, self.key_order)

    @property
    def schema(self) -> Any:
        """The schema, a fresh copy."""
        return json.loads(self.text)

    def key(self) -> Hashable:
        return (self.text, self.layout, self.formats, self.draft, self.documents, self.key_order)

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary; a copy of the cached compilation where there is one.

        :raises UnsupportedSchema: A keyword cannot be enforced; with its place and the reason.
        :raises Unsatisfiable: No value satisfies the schema.
        """
        ready = self.prepared()
        mask, form = self._masks(ready, vocabulary)
        tidy = mask if ready.is_closed else Tidied(mask, vocabulary.token_bytes)
        return tidy if ready.is_equal(form) and not ready.wide else self._judged(tidy, ready, vocabulary)

    def form_for(self, vocabulary: Vocabulary) -> int:
        """Which form of the schema the mask engine takes: 0 is the whole of it, others are judged while they are written.

        :raises UnsupportedSchema: It cannot be enforced at all. :raises Unsatisfiable: No value satisfies it.
        """
        return self._masks(self.prepared(), vocabulary)[1]

    def _masks(self, ready: Prepared, vocabulary: Vocabulary) -> tuple[Constraint, int]:
        """The masks, and the form that they are of."""
        if ready.engine is False:
            because = "the schema is false" if self.schema is False else "it allows nothing, or only values without end"
            raise Unsatisfiable("JSON schema", because=because)
        refused: UnsupportedSchema | None = None
        for form in range(len(ready.forms)):
            try:
                return self._laid_out(ready, vocabulary, form), form
            except UnsupportedSchema as error:
                refused = refused or error
        assert refused is not None
        raise refused

    def _laid_out(self, ready: Prepared, vocabulary: Vocabulary, form: int) -> Constraint:
        """The masks, with whitespace where the layout wants it."""
        layout = "compact" if self.layout == "model" and ready.is_scalar else self.layout
        return in_layout(self.kind, layout, lambda name, known: self._mask(ready, known, name, form), vocabulary)

    def _mask(self, ready: Prepared, vocabulary: Vocabulary, layout: str, form: int) -> MaskConstraint:
        return compile_grammar(
            self.kind,
            (self.text, layout, self.formats, self.draft, self.documents, self.key_order, form),
            vocabulary,
            grammar=lambda: self._grammar(ready, vocabulary, layout, form),
            refusal=lambda message: refusal(self.schema, message, ready.forms[form]),
        )

    def _judged(self, mask: Constraint, ready: Prepared, vocabulary: Vocabulary) -> Witnessed:
        """Masks that allow too much, and a judge beside them."""
        search = search_for(mask, vocabulary, ready.judge.accepts, hints_of(ready.engine), ready.judge.closer)
        fingerprint = with_engine(self.kind, vocabulary).fingerprint

        def find() -> tuple[int, ...] | None:
            ordered = self._in_order(vocabulary) if self.key_order == "any" else None
            fits = ordered is not None and search.fits(
                mask.start(), b"", b"".join(map(vocabulary.token_bytes, ordered))
            )
            return ordered if fits else search.first(mask.start())

        witness = _WITNESSES.get((self.key(), fingerprint), find)
        if witness is None:
            first = (ready.left + ready.wide)[0]
            because = "it is checked while the text is written, and no text that satisfies the schema was found"
            raise UnsupportedSchema(first.keyword, first.pointer, because=because)
        return Witnessed(mask, search, witness, vocabulary.token_bytes)

    def _in_order(self, vocabulary: Vocabulary) -> tuple[int, ...] | None:
        """Ids of a text with its keys in the schema's order, whose masks know better which keys there are."""
        ordered = replace(self, key_order="schema")
        try:
            return known_text(ordered.compile(vocabulary), (type(self), self.kind, ordered.key()), vocabulary)
        except UnsupportedSchema:
            return None

    def _grammar(self, ready: Prepared, vocabulary: Vocabulary, layout: str, form: int) -> str:
        """The engine's grammar; called once per vocabulary, after patterns that may explode were tried."""
        for suspect in ready.suspects:
            try:
                Regex(without_properties(suspect.pattern)).compile(vocabulary)
            except UnsupportedGrammar as error:
                raise suspect.refused(error) from None
        return ready.grammar(layout, form)

    def embedded(self, form: int) -> str:
        """This constraint as the right side of a rule in a larger grammar of the engine.

        :param form: As :meth:`form_for` says.
        """
        grammar = self.prepared().grammar("spaced", form)
        return f"%json {json.dumps(json.loads(grammar)['grammars'][0]['json_schema'])}"

    def value(self, text: str) -> Any:
        """The parsed value; an instance where a Python type was given.

        :raises InvalidResult: The text is not strict JSON, does not satisfy the schema, or a validator of the type
            refuses it (one that a schema cannot express; the message names it) or fails.
        """
        ready = self.prepared()
        value = ready.judge.check(text)
        if self.adapter is None:
            return value
        try:
            return self.adapter.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = "".join(f"/{part}" for part in first["loc"]) or "the top"
            because = f"{error.title} refuses it at {where}: {first['msg']} ({first['type']})"
            raise InvalidResult(text, because=because) from error
        except Exception as error:  # a validator is code of the user's own, and may raise anything
            because = f"a validator of {self.adapter!r} failed: {type(error).__name__}: {error}"
            raise InvalidResult(text, because=because) from error


def json_schema(
    schema: Any,
    layout: str = "model",
    *,
    formats: Literal["assert", "annotate"] = "assert",
    draft: str | None = None,
    registry: Mapping[str, Any] | None = None,
    key_order: Literal["schema", "any"] = "schema",
    lenient: bool = False,
) -> JsonSchema:
    """Constrain the text to JSON that satisfies a schema; ``r.value`` is the parsed value.

    Optional keys may be left out. Strings have no ``\\u`` escapes, unless the schema itself names a control
    character.

    :param schema: A JSON schema (dict, JSON text, path to a ``.json`` file), or a type: pydantic
        model, dataclass, TypedDict, Enum, Literal, ``list[Model]``, ... (``r.value`` is then an instance).
    :param layout: Where whitespace stands. "model": the model chooses by its first break, and keeps to it; "spaced"
        (``{"a": 1, "b": 2}``), "compact" (``{"a":1,"b":2}``), "indent=2" (lines, as ``json.dumps`` writes them with
        ``indent=2``; 1 to 8), or "any" (wherever it likes, at most 20 characters at a place).
    :param formats: "assert": formats that the specification names are enforced. "annotate": none is.
    :param draft: "2020-12" (the default where ``$schema`` says nothing), "2019-09", "7", "6" or "4".
    :param registry: Documents that the schema may refer to: a mapping from URIs to schemas, or a
        ``referencing.Registry``. Without it nothing is fetched; with it, what the registry fetches.
    :param key_order: "schema": keys are written in the schema's order, and then those that it does not name. "any": in
        whatever order the model likes, checked while it is written.
    :param lenient: Leave out what cannot be enforced instead of refusing the schema: each is warned of with a
        ``UserWarning``, and noted in the trace of each result.
    :raises BadOption: No schema, or an option that does not exist.
    :raises UnsupportedSchema: It is not a schema of its draft, too large, or has a pattern that
        cannot be enforced. What the mask engine cannot enforce is raised when it is compiled.
    """
    plain, adapter = schema_of(schema)
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadOption("json-schema", schema=type(schema).__name__, wanted=f"{WANTED} ({error})") from None
    documents = ()
    if registry is not None:
        plain = json.loads(text)
        documents = documents_for(plain, dialect(plain, draft), registry)
    make = partial(
        JsonSchema,
        layout=layout,
        formats=formats,
        draft=draft,
        adapter=adapter,
        documents=documents,
        key_order=key_order,
    )
    return leniently(text, make) if lenient else make(text)
