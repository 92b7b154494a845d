"""The rules that a schema of some draft must obey, written out flat so that checking is quick.

The metaschemas of the newer drafts are seven documents that refer to each other dynamically: jsonschema needs
about a millisecond for each subschema. Here they are merged, references are replaced by
what they refer to, and the reference to "any schema" becomes its type, because every subschema is
visited on its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urldefrag, urljoin

import jsonschema_specifications
from jsonschema import (
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    FormatChecker,
)
from jsonschema.protocols import Validator

from decodeplug.constraints.character_classes import without_properties

__all__ = ["all_keywords", "flat_meta", "keywords_of"]

_DRAFTS = (Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator)

_ABOUT_ITSELF = frozenset(
    [
        "$schema",
        "$id",
        "id",
        "$vocabulary",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$defs",
        "definitions",
        "title",
        "allOf",
    ]
)


@cache
def flat_meta(validator: type[Validator]) -> Validator:
    """A judge of single schemas of a draft: of their keywords, not of the schemas inside them."""
    root = validator.META_SCHEMA
    assert isinstance(root, Mapping)
    uri = str(root.get("$id") or root.get("id"))
    documents: list[tuple[str, Mapping[str, Any]]] = [(uri, root)]
    for reference in root.get("allOf", ()):
        documents.append((urljoin(uri, reference["$ref"]), _document(urljoin(uri, reference["$ref"]))))
    flat: dict[str, Any] = {}
    for base, document in reversed(documents):
        for keyword, value in document.items():
            if keyword == "properties":
                flat.setdefault("properties", {}).update({k: _inlined(v, base, root) for k, v in value.items()})
            elif keyword not in _ABOUT_ITSELF:
                flat[keyword] = _inlined(value, base, root)
    checker = FormatChecker(())
    checker.checkers = {**validator.FORMAT_CHECKER.checkers, "regex": (_is_pattern, re.error)}
    return validator(flat, format_checker=checker)


def _is_pattern(value: object) -> bool:
    return not isinstance(value, str) or bool(re.compile(without_properties(value)))


def keywords_of(validator: type[Validator]) -> frozenset[str]:
    """The keywords that a draft knows; others are annotations."""
    schema = flat_meta(validator).schema
    assert isinstance(schema, Mapping)
    return frozenset(schema["properties"])


@cache
def all_keywords() -> frozenset[str]:
    """The keywords of all drafts together."""
    return frozenset[str]().union(*map(keywords_of, _DRAFTS))


def _document(uri: str) -> Mapping[str, Any]:
    document = jsonschema_specifications.REGISTRY.contents(uri)
    assert isinstance(document, Mapping)
    return document


def _inlined(value: Any, base: str, root: Mapping[str, Any]) -> Any:
    """``value`` with its references replaced."""
    if isinstance(value, list):
        return [_inlined(item, base, root) for item in value]
    if not isinstance(value, dict):
        return value
    if "$dynamicRef" in value or "$recursiveRef" in value or value.get("$ref") == "#":
        return {"type": root["type"]}
    reference = value.get("$ref")
    if not isinstance(reference, str):
        return {keyword: _inlined(inner, base, root) for keyword, inner in value.items()}
    uri, fragment = urldefrag(urljoin(base, reference))
    target: Any = (
        root if uri == urldefrag(base).url and base == str(root.get("$id") or root.get("id")) else _document(uri)
    )
    for step in fragment.strip("/").split("/"):
        target = target[step]
    return _inlined(target, uri, root)
