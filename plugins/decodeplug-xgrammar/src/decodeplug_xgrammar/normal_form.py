"""A JSON schema in a form that XGrammar's converter enforces exactly, and what of it has no such form.

The converter looks at one keyword of each schema (``$ref``, ``const``, ``enum``, ``anyOf``, ``oneOf``, ``allOf``, else
``type``) and drops what stands beside it without a word; other keywords it does not know at all. So each schema is
read here by its specification and written anew in keywords that the converter keeps. What cannot be written is refused.

A normal form is ``False`` (no value), ``{}`` (any value), or a schema of one of these kinds: ``$ref`` to a definition,
``const`` of a placeholder for a rule of ours, ``anyOf``, or one ``type`` with its keywords.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from decodeplug.constraints.schema_tree import pointer_of
from decodeplug.plugin import UnsupportedSchema
from jsonschema.protocols import Validator

from decodeplug_xgrammar.containers import array, object_
from decodeplug_xgrammar.disjoint import are_disjoint
from decodeplug_xgrammar.ebnf import constant, either
from decodeplug_xgrammar.ending import circular, ends, with_an_end
from decodeplug_xgrammar.forms import TYPES, Normal, Path, union
from decodeplug_xgrammar.judging import has_references, judge_of
from decodeplug_xgrammar.scalars import integer, number, string

__all__ = ["OWN_RULE", "NormalForm", "Refused", "normal_form"]

OWN_RULE = "decodeplug_"
"""What the names of our own rules begin with; their numbers follow."""

_DECIDING = ("$ref", "anyOf", "oneOf", "allOf")
_LIMITS = frozenset({"exclusiveMaximum", "exclusiveMinimum"})  # in draft 4 a part of the keywords that they belong to
_UNKNOWN = {
    "not": "XGrammar does not know this keyword",
    "if": "XGrammar does not know conditions",
    "$dynamicRef": "XGrammar does not know dynamic references",
    "$recursiveRef": "XGrammar does not know dynamic references",
}
_OF_TYPE = {
    "array": array,
    "boolean": lambda walk, part, path: {"type": "boolean"},
    "integer": integer,
    "null": lambda walk, part, path: {"type": "null"},
    "number": number,
    "object": object_,
    "string": string,
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A keyword that XGrammar would not enforce, where it stands, and why."""

    keyword: str
    pointer: str
    because: str

    def error(self) -> UnsupportedSchema:
        return UnsupportedSchema(self.keyword, self.pointer, because=self.because)


@dataclass(slots=True)
class NormalForm:
    """What became of a schema.

    :ivar tag: What placeholders begin with. :ivar root: Its normal form; False where no finite value satisfies it.
    :ivar definitions: Name -> normal form of what references refer to.
    :ivar rules: EBNF of each rule of ours -> its number, which its placeholder has.
    :ivar seen: Pointer -> keyword of everything that asserts something and was read.
    :ivar refused: What has no normal form; if there is any, the rest allows more than the schema.
    """

    tag: str
    root: Normal = False
    definitions: dict[str, Normal] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


def normal_form(schema: Any, validator: type[Validator], layout: str) -> NormalForm:
    """Write a schema in keywords that XGrammar keeps.

    :param schema: One that was checked; references are pointers, patterns have their classes written out, formats are
        there only where they assert. :param validator: Its draft. :param layout: How constants are written.
    """
    walk = _Walk(schema, validator, layout)
    form = walk.form
    form.root = walk.normal(schema, ())
    while walk.waiting:
        name, target, path = walk.waiting.pop(0)
        form.definitions[name] = walk.normal(target, path)
    ending = with_an_end(form.definitions)
    if not ends(form.root, ending):
        form.root = False
        return form
    places = {name: pointer_of(path) for path, name in walk.names.items()}
    for name in sorted(form.definitions.keys() - ending):
        because = "no value that comes to an end satisfies what it refers to here"
        form.refused.append(Refused("$ref", places[name], because))
    for name in sorted(circular(form.definitions) & ending):
        because = "what it refers to here leads back to itself before a value begins"
        form.refused.append(Refused("$ref", places[name], because))
    return form


class _Walk:
    """Implements ``forms.Walk``.

    :ivar names: Path of what a reference refers to -> name of its definition.
    :ivar waiting: Definitions that are not written yet: name, schema and path.
    """

    def __init__(self, schema: Any, validator: type[Validator], layout: str) -> None:
        tag = "@decodeplug"
        while tag in json.dumps(schema):
            tag += "@"
        self.form = NormalForm(tag)
        self.names: dict[Path, str] = {}
        self.waiting: list[tuple[str, Any, Path]] = []
        self._schema, self._validator, self._layout = schema, validator, layout
        self._known = _LIMITS.union(validator.VALIDATORS)
        self._drops_beside_ref = "dependentRequired" not in self._known  # up to draft 7 nothing there means anything

    def refuse(self, path: Path, keyword: str, because: str, *steps: str) -> None:
        self.form.refused.append(Refused(keyword, pointer_of((*path, keyword, *steps)), because))

    def name(self, body: str) -> str:
        return f"{OWN_RULE}{self._number(body)}"

    def rule(self, body: str) -> Normal:
        return {"const": f"{self.form.tag}:{self._number(body)}@"}

    def _number(self, body: str) -> int:
        return self.form.rules.setdefault(body, len(self.form.rules))

    def normal(self, schema: Any, path: Path) -> Normal:
        if not isinstance(schema, dict):
            return {} if schema else False
        part = {keyword: value for keyword, value in schema.items() if keyword in self._known}
        if "$ref" in part and self._drops_beside_ref:
            part = {"$ref": part["$ref"]}
        self.form.seen.update({pointer_of((*path, keyword)): keyword for keyword in part})
        if not schema.keys() & {"then", "else", "unevaluatedItems", "unevaluatedProperties"}:
            part.pop("if", None)  # alone it only matters to what was not evaluated
        if "const" in part or "enum" in part:
            return self._finite(schema, part, path)
        for keyword in [keyword for keyword in part if keyword in _UNKNOWN]:
            del part[keyword]
            self.refuse(path, keyword, _UNKNOWN[keyword])
        deciding = next((keyword for keyword in _DECIDING if keyword in part), None)
        if deciding is None:
            return self._typed(part, path)
        self._refuse_beside(deciding, part, path)
        return {"$ref": self._ref, "anyOf": self._any_of, "oneOf": self._one_of, "allOf": self._all_of}[deciding](
            part, path
        )

    def _refuse_beside(self, deciding: str, part: Mapping[str, Any], path: Path) -> None:
        for keyword in part:
            if keyword != deciding:
                self.refuse(path, keyword, f"XGrammar drops what stands beside {deciding}")

    def _typed(self, part: Mapping[str, Any], path: Path) -> Normal:
        given = part.get("type", TYPES)
        types = [given] if isinstance(given, str) else list(given)
        if "number" in types and "integer" in types:
            types.remove("integer")
        options = [_OF_TYPE[name](self, part, path) for name in types]
        if set(types) == set(TYPES) and options == [{"type": name} for name in types]:
            return {}
        return union(options)

    def _finite(self, schema: Mapping[str, Any], part: Mapping[str, Any], path: Path) -> Normal:
        """The values that satisfy all keywords at once, whatever they are: there is nothing left to enforce."""
        values = part["enum"] if "enum" in part else [part["const"]]
        if has_references(part):
            self._refuse_beside("enum" if "enum" in part else "const", part, path)
        elif len(part) > 1:
            others = {keyword: value for keyword, value in schema.items() if keyword != "enum"}  # long ones take long
            judge = judge_of(others, self._validator)
            values = [value for value in values if judge.accepts(json.dumps(value).encode())]
        texts = [constant(value, self._layout) for value in values if not _has_surrogates(value)]
        return self.rule(either(texts)) if texts else False

    def _ref(self, part: Mapping[str, Any], path: Path) -> Normal:
        there = self._leads_to(part["$ref"])
        if there is None:
            self.refuse(path, "$ref", f"{part['$ref']!r} leads to no schema")
            return {}
        target, where = there
        if isinstance(target, bool):
            return {} if target else False
        if where not in self.names:
            self.names[where] = f"r{len(self.names)}"
            self.waiting.append((self.names[where], target, where))
        return {"$ref": f"#/$defs/{self.names[where]}"}

    def _leads_to(self, reference: str) -> tuple[Any, Path] | None:
        """The schema that a reference leads to, and its path."""
        here, path = self._schema, ()
        for step in unquote(reference).removeprefix("#").split("/")[1:]:
            key: Any = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, list):
                key = int(key) if key.isdecimal() else len(here)
            if not (key < len(here) if isinstance(here, list) else isinstance(here, dict) and key in here):
                return None
            here, path = here[key], (*path, key)
        return (here, path) if isinstance(here, dict | bool) else None

    def _options(self, keyword: str, part: Mapping[str, Any], path: Path) -> list[Normal]:
        return [self.normal(option, (*path, keyword, index)) for index, option in enumerate(part[keyword])]

    def _any_of(self, part: Mapping[str, Any], path: Path) -> Normal:
        return union(self._options("anyOf", part, path))

    def _one_of(self, part: Mapping[str, Any], path: Path) -> Normal:
        options = self._options("oneOf", part, path)
        pairs = zip(part["oneOf"], options, strict=True)
        possible = [self._target(option) for option, form in pairs if form is not False]
        if not are_disjoint(possible, self._validator):
            self.refuse(path, "oneOf", "XGrammar takes it for anyOf, and its options may overlap")
        return union(options)

    def _target(self, schema: Any) -> Any:
        """The schema that references lead to from this one."""
        for _ in range(len(self.names)):
            there = self._leads_to(schema["$ref"]) if isinstance(schema, dict) and "$ref" in schema else None
            if there is None:
                break
            schema = there[0]
        return schema

    def _all_of(self, part: Mapping[str, Any], path: Path) -> Normal:
        options = self._options("allOf", part, path)
        limiting = [option for option in options if option]
        if len(limiting) > 1:
            self.refuse(path, "allOf", "XGrammar allows any value where allOf has several schemas")
        if False in options:
            return False
        return limiting[0] if limiting else {}


def _has_surrogates(value: Any) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in json.dumps(value, ensure_ascii=False))
