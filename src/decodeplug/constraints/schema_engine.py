"""A schema as the mask engine shall read it, and as the last judge shall."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llguidance import LLMatcher

from decodeplug.constraints.character_classes import translated, without_properties
from decodeplug.constraints.compiled import Once
from decodeplug.constraints.endless_schema import without_endless
from decodeplug.constraints.format_patterns import FORMAT_PATTERNS
from decodeplug.constraints.formats import asserted
from decodeplug.constraints.json_value import Judge
from decodeplug.constraints.references import Documents, gathered, registry_of
from decodeplug.constraints.schema_check import Suspect, check_schema, dialect
from decodeplug.constraints.schema_meta import all_keywords, keywords_of
from decodeplug.constraints.schema_over import (
    Left,
    in_any_order,
    keyed,
    left_to_judge,
    loosened,
    too_wide,
)
from decodeplug.constraints.schema_rewrite import rewritten
from decodeplug.constraints.schema_tree import changed
from decodeplug.constraints.self_reference import refuse_circles
from decodeplug.constraints.tidy import is_closed

__all__ = ["FREE", "LAYOUTS", "Prepared", "prepared"]

FREE = "free"
LAYOUTS: Mapping[str, Mapping[str, object]] = {
    "spaced": {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False},
    "compact": {"item_separator": ",", "key_separator": ":", "whitespace_flexible": False},
    # Bounded, so that no model can write spaces until its budget is spent.
    "any": {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A\x0D\x09]{0,20}"},
    FREE: {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A]*"},  # an automaton bounds it
}
_WHOLE = frozenset(
    ["maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength", "minProperties"]
)
_PLACES = frozenset({"$defs", "definitions"})  # of schemas that are referred to
_CONTROL = re.compile(r"\\u00[01]")
_OPTIONS = "x-guidance"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked schema.

    :ivar plain: The schema with its references made pointers, its patterns' classes written out, and no formats but those
        that assert. :ivar forms: What the mask engine is given, one form after the other until it takes one: an equal
        schema if ``has_equal``, and forms that allow more. :ivar judge: The last judge of a text. :ivar left: Keywords that
        an equal form may have and no mask enforces. :ivar wide: Keywords that the engine takes for less than they say.
    :ivar suspects: Patterns that should be tried before use. :ivar is_closed: No text repeats a key, or has a number that
        overflows. :ivar asserted: The formats that are enforced.
    """

    plain: Any
    forms: tuple[Any, ...]
    has_equal: bool
    judge: Judge
    left: tuple[Left, ...]
    wide: tuple[Left, ...]
    suspects: tuple[Suspect, ...]
    is_closed: bool
    asserted: frozenset[str]

    @property
    def engine(self) -> Any:
        """The first form."""
        return self.forms[0]

    def is_equal(self, form: int) -> bool:
        """Does this form allow no more than the schema?"""
        return form == 0 and self.has_equal

    def asserts(self, part: Mapping[str, Any]) -> bool:
        """Is the format of this part enforced?"""
        return part.get("format") in self.asserted

    @property
    def is_scalar(self) -> bool:
        """Has no value of the schema whitespace in it?"""
        schema = self.engine if isinstance(self.engine, dict) else {}
        kinds = schema.get("type", ())
        constants = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
        if constants:
            return not any(isinstance(constant, dict | list) for constant in constants)
        return bool(kinds) and {"array", "object"}.isdisjoint([kinds] if isinstance(kinds, str) else kinds)

    def grammar(self, layout: str, form: int = 0) -> str:
        """The engine's grammar for this schema.

        :param form: Which of the forms.
        :raises ValueError: The engine cannot read it as JSON.
        """
        options: dict[str, object] = {"coerce_one_of": not self.is_equal(form), "lenient": False, **LAYOUTS[layout]}
        engine = self.forms[form]
        if not _CONTROL.search(json.dumps(engine)):
            # Without \u no key can be written in disguise: {"\u0061": ...} would pass for another key than "a".
            # Only control characters need it, and a schema that names one gets it back.
            options["json_allowed_escapes"] = '"\\bfnrt'
        schema = engine if isinstance(engine, dict) else {}
        return LLMatcher.grammar_from_json_schema(json.dumps({**schema, _OPTIONS: options}))


_PREPARED: Once[Prepared] = Once(128)


def prepared(
    schema_text: str, draft: str | None, formats: str, documents: Documents = (), key_order: str = "schema"
) -> Prepared:
    """Check a schema and rewrite it; cached by content, because checking takes longer than compiling.

    Patterns get their classes written out, as ECMA 262 defines them, so that engine and judge agree.
    Formats are dropped for "annotate"; for "assert" only those that the specification does not name.

    :param documents: Those that the schema refers to. :param key_order: "any" if keys need not come in its order.
    :raises UnsupportedSchema: It is not a schema of its draft, exceeds our bounds, or refers to what is not there.
    """
    key = (schema_text, draft, formats, documents, key_order)
    return _PREPARED.get(key, lambda: _prepare(json.loads(schema_text), draft, formats, documents, key_order))


def _prepare(schema: Any, draft: str | None, formats: str, documents: Documents, key_order: str) -> Prepared:
    validator = dialect(schema, draft)
    suspects = check_schema(schema, validator)
    whole = gathered(schema, validator, documents)
    if whole is not schema:
        suspects = check_schema(whole, validator)
    whole = changed(whole, lambda part: _of_the_draft(part, keywords_of(validator)))
    refuse_circles(whole)
    whole = without_endless(whole)
    registry = registry_of(documents, validator, _for_the_judge)
    enforced = asserted(validator) if formats == "assert" else frozenset[str]()

    def for_engine(part: dict[str, Any]) -> dict[str, Any]:
        part.pop(_OPTIONS, None)  # an annotation for us, but options to the engine
        if part.get("format") not in enforced:
            part.pop("format", None)
        for keyword in _WHOLE.intersection(part):  # 2.0 is a limit like 2
            limit = part[keyword]
            part[keyword] = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return part

    engine = changed(changed(whole, _with_plain_patterns), for_engine)
    if isinstance(engine, dict) and isinstance(validator.META_SCHEMA, Mapping):
        engine["$schema"] = validator.META_SCHEMA.get("$schema") or validator.META_SCHEMA.get("$id")
    plain, wide = engine, too_wide(engine)
    engine = changed(engine, _with_format_as_pattern)
    free_keys = keyed(engine) if key_order == "any" else ()
    wide += free_keys
    equal = rewritten(engine, keywords_of(validator))
    left = left_to_judge(engine)
    # The engine would take these, and count for ever, or in the wrong order.
    has_equal = not free_keys and all(one.keyword != "multipleOf" for one in left)
    forms: tuple[Any, ...] = (equal,) if has_equal else ()
    if free_keys:  # keys in a "not" may not be freed: it is left out before
        forms = (loosened(in_any_order(loosened(engine))),)
    elif left:
        forms += (loosened(equal), loosened(engine))
    return Prepared(
        plain,
        forms,
        has_equal,
        Judge(_for_the_judge(json.dumps(schema)), validator, formats == "assert", registry),
        left_to_judge(equal),
        wide,
        tuple(suspects),
        is_closed(engine),
        enforced,
    )


def _of_the_draft(part: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Without the keywords of other drafts, which the mask engine would take for rules."""
    for keyword in (part.keys() & all_keywords()) - known - _PLACES:
        del part[keyword]
    return part


def _with_format_as_pattern(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("format") in FORMAT_PATTERNS:
        pattern = {"pattern": f"^(?:{FORMAT_PATTERNS[part.pop('format')]})$"}
        part["allOf"] = [*part.get("allOf", ()), pattern]
    return part


def _for_the_judge(text: str) -> Any:
    return changed(json.loads(text, parse_float=Decimal), _with_plain_patterns)


def _with_plain_patterns(part: dict[str, Any]) -> dict[str, Any]:
    if isinstance(part.get("pattern"), str):
        part["pattern"] = _plain(part["pattern"])
    named = part.get("patternProperties")
    if isinstance(named, dict):
        plain: dict[str, Any] = {}
        for name, inner in named.items():  # two names may come to the same
            known = _plain(name)
            plain[known] = {"allOf": [plain[known], inner]} if known in plain else inner
        part["patternProperties"] = plain
    return part


def _plain(pattern: str) -> str:
    return translated(without_properties(pattern), ecma=True)
