"""A constraint by a JSON schema, or by a Python type that has one."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter, ValidationError

from decodeplug.constraints.compiled import Once, compile_grammar, with_engine
from decodeplug.constraints.judged import JudgedConstraint
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.regex_spec import Regex
from decodeplug.constraints.schema_check import refusal
from decodeplug.constraints.schema_engine import LAYOUTS, Prepared, prepared
from decodeplug.constraints.schema_source import WANTED, schema_of
from decodeplug.constraints.witness import TRIES_AT_FIRST, Search, hints_of
from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption, InvalidResult, Unsatisfiable, UnsupportedGrammar, UnsupportedSchema

__all__ = ["JsonSchema", "json_schema"]

_WITNESSES: Once[bytes | None] = Once(128)


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON texts that a schema allows. Made by :func:`json_schema`.

    :ivar text: The schema as JSON text, its keys in their order.
    :ivar adapter: Makes the value, where a Python type was given.
    """

    text: str
    layout: str = "spaced"
    formats: str = "assert"
    draft: str | None = None
    adapter: TypeAdapter[Any] | None = field(default=None, repr=False)
    kind: ClassVar[str] = "json-schema"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise BadOption("json-schema", layout=self.layout, wanted=f"one of {', '.join(LAYOUTS)}")
        if self.formats not in ("assert", "annotate"):
            raise BadOption("json-schema", formats=self.formats, wanted="'assert' or 'annotate'")
        prepared(self.text, self.draft, self.formats)

    @property
    def schema(self) -> Any:
        """The schema, a fresh copy."""
        return json.loads(self.text)

    def key(self) -> Hashable:
        return (self.text, self.layout, self.formats, self.draft)

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint | JudgedConstraint:
        """Compile for a vocabulary; a copy of the cached compilation where there is one.

        :raises UnsupportedSchema: A keyword cannot be enforced; with its place and the reason.
        :raises Unsatisfiable: No value satisfies the schema.
        """
        ready = prepared(self.text, self.draft, self.formats)
        if ready.engine is False:
            raise Unsatisfiable("JSON schema", because="the schema is false")
        try:
            return self._mask(ready, vocabulary, loose=False)
        except UnsupportedSchema:
            if not ready.left:
                raise
        return self._judged(ready, vocabulary)

    def _mask(self, ready: Prepared, vocabulary: Vocabulary, *, loose: bool) -> MaskConstraint:
        return compile_grammar(
            self.kind,
            (self.key(), loose),
            vocabulary,
            grammar=lambda: self._grammar(ready, vocabulary, loose),
            refusal=lambda message: refusal(ready.engine, message),
        )

    def _judged(self, ready: Prepared, vocabulary: Vocabulary) -> JudgedConstraint:
        """Masks that allow too much, and a judge beside them."""
        mask = self._mask(ready, vocabulary, loose=True)
        engine = with_engine(self.kind, vocabulary)
        search = Search(
            mask, ready.judge.accepts, vocabulary.token_bytes, engine.engine().tokenize_bytes, hints_of(ready.engine)
        )
        witness = _WITNESSES.get(
            (self.key(), engine.fingerprint), lambda: search.tail(mask.start(), b"", TRIES_AT_FIRST)
        )
        if witness is None:
            first = ready.left[0]
            because = "it is checked while the text is written, and no text that satisfies the schema was found"
            raise UnsupportedSchema(first.keyword, first.pointer, because=because)
        return JudgedConstraint(mask, ready.judge.accepts, search, vocabulary.token_bytes, witness)

    def _grammar(self, ready: Prepared, vocabulary: Vocabulary, loose: bool) -> str:
        """The engine's grammar; called once per vocabulary, after patterns that may explode were tried."""
        for suspect in ready.suspects:
            try:
                Regex(suspect.pattern).compile(vocabulary)
            except UnsupportedGrammar as error:
                raise suspect.refused(error) from None
        return ready.grammar(self.layout, loose=loose)

    def embedded(self, *, loose: bool) -> str:
        """This constraint as the right side of a rule in a larger grammar of the engine, once it was compiled alone.

        :param loose: Without the keywords that are checked while the text is written.
        """
        grammar = prepared(self.text, self.draft, self.formats).grammar(self.layout, loose=loose)
        return f"%json {json.dumps(json.loads(grammar)['grammars'][0]['json_schema'])}"

    def value(self, text: str) -> Any:
        """The parsed value; an instance where a Python type was given.

        :raises InvalidResult: The text is not strict JSON, does not satisfy the schema, or a validator of the type
            refuses it (one that a schema cannot express; the message names it) or fails.
        """
        ready = prepared(self.text, self.draft, self.formats)
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
    layout: Literal["spaced", "compact", "any"] = "spaced",
    *,
    formats: Literal["assert", "annotate"] = "assert",
    draft: str | None = None,
) -> JsonSchema:
    """Constrain the text to JSON that satisfies a schema; ``r.value`` is the parsed value.

    Keys are written in the schema's order; optional ones may be left out. Strings have no
    ``\\u`` escapes, unless the schema itself names a control character.

    :param schema: A JSON schema (dict, JSON text, path to a ``.json`` file), or a type: pydantic
        model, dataclass, TypedDict, Enum, Literal, ``list[Model]``, ... (``r.value`` is then an instance).
    :param layout: "spaced" (``{"a": 1, "b": 2}``), "compact" (``{"a":1,"b":2}``), or "any" (the
        model chooses, at most 20 characters of whitespace at a place).
    :param formats: "assert": formats that the specification names are enforced. "annotate": none is.
    :param draft: "2020-12" (the default where ``$schema`` says nothing), "2019-09", "7", "6" or "4".
    :raises BadOption: No schema, or an option that does not exist.
    :raises UnsupportedSchema: It is not a schema of its draft, too large, or has a pattern that
        cannot be enforced. What the mask engine cannot enforce is raised when it is compiled.
    """
    plain, adapter = schema_of(schema)
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadOption("json-schema", schema=type(schema).__name__, wanted=f"{WANTED} ({error})") from None
    return JsonSchema(text, layout, formats, draft, adapter)
