"""Normal forms of arrays and objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from decodeplug.plugin import UnsupportedGrammar

from decodeplug_xgrammar.forms import COUNTS, Normal, Path, Walk
from decodeplug_xgrammar.patterns import found_in_string

__all__ = ["array", "object_"]

_MOST_COUNTED = 50  # named keys: for their number XGrammar writes a rule for each of them and each number
_BETWEEN_KEYS = ("dependencies", "dependentRequired", "dependentSchemas")


def array(walk: Walk, part: Mapping[str, Any], path: Path) -> Normal:
    """XGrammar follows the items and their number, and nothing that compares or counts them."""
    low, high = int(part.get("minItems", 0)), part.get("maxItems")
    high = None if high is None else int(high)
    if max(low, high or 0) > COUNTS:
        walk.refuse(path, "minItems" if low > COUNTS else "maxItems", "XGrammar does not count so far")
        return {"type": "array"}
    if "contains" in part:
        walk.refuse(path, "contains", "XGrammar does not count items of a kind")
    if part.get("uniqueItems") and (high is None or high > 1):
        walk.refuse(path, "uniqueItems", "XGrammar does not compare items")
    first, others = _items(part)
    forms: list[Normal] = []
    for index, item in enumerate(part[first] if first else ()):
        form = walk.normal(item, (*path, first, index))
        if form is False:
            high = index if high is None else min(high, index)
            break
        forms.append(form)
    forms = forms[:high]
    rest = walk.normal(part[others], (*path, others)) if others else {}
    if high is not None and high <= len(forms):
        rest = False
    if rest is False:
        high = len(forms)
    if high is not None and low > high:
        return False
    if not forms and rest == {} and not low and high is None:
        return {"type": "array"}
    form = {"type": "array", "items": rest, "minItems": low}
    form |= {"prefixItems": forms} if forms else {}
    return form | ({"maxItems": high} if rest is not False and high is not None else {})


def _items(part: Mapping[str, Any]) -> tuple[str, str]:
    """The keyword with the schemas of the first items, and that of the others; empty where there is none."""
    if isinstance(part.get("items"), list):  # before 2020-12
        first, others = "items", "additionalItems"
    else:
        first, others = "prefixItems", "items"
    if others not in part:  # Nothing beside it evaluates an item that these two do not.
        others = "unevaluatedItems"
    return first if first in part else "", others if others in part else ""


def object_(walk: Walk, part: Mapping[str, Any], path: Path) -> Normal:
    """XGrammar follows the named keys and their number, and one rule for all others."""
    for keyword in _BETWEEN_KEYS:
        if part.get(keyword):
            walk.refuse(path, keyword, "XGrammar does not compare keys")
    others = "additionalProperties" if "additionalProperties" in part else "unevaluatedProperties"
    rest = walk.normal(part[others], (*path, others)) if others in part else {}
    required = list(dict.fromkeys(part.get("required", ())))
    names = part.get("patternProperties") or {}
    if names or "propertyNames" in part:
        return _with_rule_for_keys(walk, part, path, rest, required)
    forms: dict[str, Normal] = {}
    for name, inner in part.get("properties", {}).items():
        form = walk.normal(inner, (*path, "properties", name))
        if form is not False:
            forms[name] = form
        elif name in required:
            return False
        elif rest is not False:
            walk.refuse(path, "properties", "XGrammar cannot forbid one key where others are open", name)
    missing = [name for name in required if name not in forms]
    if missing and rest is False:
        return False
    forms |= dict.fromkeys(missing, rest)
    if rest is not False:
        for name in forms:
            if not (name.isascii() and name.isprintable()) or set(name) & set('"\\'):
                because = "beside open keys XGrammar only knows names of printable ASCII"
                at = ("required",) if name in missing else ("properties", name)
                walk.refuse(path, at[0], because, *at[1:])
    limits = [keyword for keyword in ("minProperties", "maxProperties") if keyword in part]
    if limits and len(forms) > _MOST_COUNTED:
        walk.refuse(path, limits[0], f"XGrammar takes too long for it with over {_MOST_COUNTED} keys")
        return {"type": "object"}
    return _counted(part, forms, required, rest, {})


def _with_rule_for_keys(walk: Walk, part: Mapping[str, Any], path: Path, rest: Normal, required: list[str]) -> Normal:
    """Keys that a pattern, or the schema of their names, speaks of."""
    patterns = part.get("patternProperties") or {}
    keyword = "patternProperties" if patterns else "propertyNames"
    if part.get("properties") or required or (patterns and "propertyNames" in part):
        walk.refuse(path, keyword, "XGrammar does not combine it with other rules for keys")
        return {"type": "object"}
    if not patterns:
        keys = walk.normal(_of_strings(part[keyword]), (*path, keyword))
        if keys is False:
            rest = False
        if keys in (False, {"type": "string"}):
            return _counted(part, {}, [], rest, {})
        if not isinstance(keys, dict) or keys.keys() != {"const"}:
            walk.refuse(path, keyword, "XGrammar reads one rule of strings here")
            return {"type": "object"}
        return _counted(part, {}, [], rest, {} if rest is False else {"propertyNames": keys})
    if len(patterns) > 1 or rest is not False:
        because = "XGrammar only follows a single pattern, and only without additionalProperties"
        walk.refuse(path, keyword, because)
        return {"type": "object"}
    ((pattern, inner),) = patterns.items()
    value = walk.normal(inner, (*path, keyword, pattern))
    if value is False:
        return _counted(part, {}, [], False, {})
    try:
        keys = walk.rule(found_in_string(pattern))
    except UnsupportedGrammar as error:
        walk.refuse(path, keyword, error.because, pattern)
        return {"type": "object"}
    return _counted(part, {}, [], value, {"propertyNames": keys})


def _of_strings(schema: Any) -> Any:
    """A schema for names, which are strings."""
    if isinstance(schema, dict) and "type" not in schema:
        return {**schema, "type": "string"}
    return schema if schema is not True else {"type": "string"}


def _counted(
    part: Mapping[str, Any], forms: Mapping[str, Normal], required: list[str], rest: Normal, more: Mapping[str, Any]
) -> Normal:
    """An object with these keys, open to others with values of ``rest``, and with its limits on their number."""
    low, high = int(part.get("minProperties", 0)), part.get("maxProperties")
    high = None if high is None else int(high)
    most = len(forms) if rest is False else None
    if (most is not None and low > most) or (high is not None and max(low, len(required)) > high):
        return False
    form: dict[str, Any] = {"type": "object", **more}
    if forms:
        form |= {"properties": dict(forms), "required": required}
    if rest != {} or more or forms:
        form["additionalProperties"] = rest
    form |= {"minProperties": low} if low else {}
    return form | ({"maxProperties": high} if high is not None else {})
