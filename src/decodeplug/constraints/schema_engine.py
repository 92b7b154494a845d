"""A schema as the mask engine shall read it, and as the last judge shall."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher

from decodeplug.constraints.character_classes import translated
from decodeplug.constraints.compiled import Once
from decodeplug.constraints.json_value import Judge, exact_schema
from decodeplug.constraints.schema_check import Suspect, check_schema, dialect
from decodeplug.constraints.schema_over import Left, left_to_judge, loosened
from decodeplug.constraints.schema_tree import changed

__all__ = ["LAYOUTS", "Prepared", "prepared"]

LAYOUTS: Mapping[str, Mapping[str, object]] = {
    "spaced": {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False},
    "compact": {"item_separator": ",", "key_separator": ":", "whitespace_flexible": False},
    # Bounded, so that no model can write spaces until its budget is spent.
    "any": {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A\x0D\x09]{0,20}"},
}
_ASSERTED = frozenset(
    [
        "date",
        "date-time",
        "time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "uuid",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ]
)
_WHOLE = frozenset(
    ["maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems", "minLength", "minProperties"]
)
_CONTROL = re.compile(r"\\u00[01]")
_OPTIONS = "x-guidance"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked schema.

    :ivar engine: For the mask engine. :ivar judge: The last judge of a text.
    :ivar left: Keywords that the engine may not be able to enforce. :ivar loose: The schema without them.
    :ivar validator: Its draft. :ivar suspects: Patterns that should be tried before use.
    """

    engine: Any
    judge: Judge
    suspects: tuple[Suspect, ...]
    left: tuple[Left, ...]
    loose: Any

    def grammar(self, layout: str, *, loose: bool = False) -> str:
        """The engine's grammar for this schema.

        :param loose: One that allows more than the schema, in keywords that the engine can enforce.
        :raises ValueError: The engine cannot read it as JSON.
        """
        options: dict[str, object] = {"coerce_one_of": loose, "lenient": False, **LAYOUTS[layout]}
        engine = self.loose if loose else self.engine
        if not _CONTROL.search(json.dumps(engine)):
            # Without \u no key can be written in disguise: {"\u0061": ...} would pass for another key than "a".
            # Only control characters need it, and a schema that names one gets it back.
            options["json_allowed_escapes"] = '"\\bfnrt'
        schema = engine if isinstance(engine, dict) else {}
        return LLMatcher.grammar_from_json_schema(json.dumps({**schema, _OPTIONS: options}))


_PREPARED: Once[Prepared] = Once(128)


def prepared(schema_text: str, draft: str | None, formats: str) -> Prepared:
    """Check a schema and rewrite it; cached by content, because checking takes longer than compiling.

    Patterns get their classes written out, as ECMA 262 defines them, so that engine and judge agree.
    Formats are dropped for "annotate"; for "assert" only those that the specification does not name.

    :raises UnsupportedSchema: It is not a schema of its draft, or exceeds our bounds.
    """
    return _PREPARED.get((schema_text, draft, formats), lambda: _prepare(json.loads(schema_text), draft, formats))


def _prepare(schema: Any, draft: str | None, formats: str) -> Prepared:
    validator = dialect(schema, draft)
    suspects = check_schema(schema, validator)
    judge = changed(schema, _with_plain_patterns)

    def for_engine(part: dict[str, Any]) -> dict[str, Any]:
        part.pop(_OPTIONS, None)  # an annotation for us, but options to the engine
        if formats == "annotate" or part.get("format") not in _ASSERTED:
            part.pop("format", None)
        for keyword in _WHOLE.intersection(part):  # 2.0 is a limit like 2
            limit = part[keyword]
            part[keyword] = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return part

    engine = changed(judge, for_engine)
    if isinstance(engine, dict) and isinstance(validator.META_SCHEMA, Mapping):
        engine["$schema"] = validator.META_SCHEMA.get("$schema") or validator.META_SCHEMA.get("$id")
    checked = validator.FORMAT_CHECKER.checkers
    return Prepared(
        engine,
        Judge(exact_schema(judge), validator, formats == "assert"),
        tuple(suspects),
        left_to_judge(engine, checked),
        loosened(engine, checked),
    )


def _with_plain_patterns(part: dict[str, Any]) -> dict[str, Any]:
    if isinstance(part.get("pattern"), str):
        part["pattern"] = translated(part["pattern"], ecma=True)
    named = part.get("patternProperties")
    if isinstance(named, dict):
        part["patternProperties"] = {translated(name, ecma=True): inner for name, inner in named.items()}
    return part
