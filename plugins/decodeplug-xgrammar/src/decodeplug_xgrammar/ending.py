"""Definitions that never come to an end, and those that lead back to themselves before a value begins.

XGrammar would write texts without end for the first kind, and hangs where it is asked what must follow.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from decodeplug_xgrammar.forms import Normal

__all__ = ["circular", "ends", "with_an_end"]


def with_an_end(definitions: Mapping[str, Normal]) -> frozenset[str]:
    """The names of definitions that some finite value satisfies."""
    known: frozenset[str] = frozenset()
    while True:
        more = frozenset(name for name, form in definitions.items() if ends(form, known))
        if more == known:
            return known
        known = more


def ends(form: Normal, known: Container[str]) -> bool:
    """Is there a finite value, if the definitions in ``known`` have one and the others do not?"""
    if not isinstance(form, dict):
        return False
    if "$ref" in form:
        return _name(form) in known
    if "anyOf" in form:
        return any(ends(option, known) for option in form["anyOf"])
    if form.get("type") == "array":
        low, first = form.get("minItems", 0), form.get("prefixItems", [])
        needed = [*first[:low], *([form.get("items", {})] if low > len(first) else [])]
        return all(ends(item, known) for item in needed)
    if form.get("type") == "object":
        return _object_ends(form, known)
    return True


def _object_ends(form: Mapping[str, Any], known: Container[str]) -> bool:
    keys, rest = form.get("properties", {}), form.get("additionalProperties", {})
    possible = {name for name, inner in keys.items() if ends(inner, known)}
    enough = len(possible) >= form.get("minProperties", 0) or ends(rest, known)
    return enough and possible.issuperset(form.get("required", ()))


def circular(definitions: Mapping[str, Normal]) -> frozenset[str]:
    """Names of definitions that lead back to themselves through references and alternatives alone."""
    first = {name: _at_once(form) for name, form in definitions.items()}
    return frozenset(name for name in first if name in _reached(first[name], first))


def _reached(names: frozenset[str], first: Mapping[str, frozenset[str]]) -> frozenset[str]:
    while True:
        more = names.union(*(first[name] for name in names))
        if more == names:
            return names
        names = more


def _at_once(form: Normal) -> frozenset[str]:
    if not isinstance(form, dict):
        return frozenset()
    if "$ref" in form:
        return frozenset({_name(form)})
    return frozenset().union(*map(_at_once, form.get("anyOf", ())))


def _name(form: Mapping[str, Any]) -> str:
    return str(form["$ref"]).rpartition("/")[2]
