"""What a path answers: the forms that ``answer=`` may have, and when two answers are the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic_core import to_jsonable_python

from decodeplug.errors import BadOption
from decodeplug.jury import Path

__all__ = ["key_of", "reader_of"]

_FORMS = "a regular expression, a JSON pointer that begins with '/', a function of a Result, or None"


def reader_of(answer: Any) -> Callable[[Path], Any]:
    """A function from a path to its answer, or None where it has none.

    :param answer: A pattern: its last match in the text, or what group 1 of it matched, without the blanks around.
        A pointer (RFC 6901): that place in the constrained value, or else in the text as JSON. None: the
        constrained value. A function of a ``Result`` is given back as it is.
    :raises BadOption: It is none of these, or no regular expression.
    """
    if answer is None:
        return lambda path: path.value
    if isinstance(answer, str) and answer.startswith("/"):
        keys = [part.replace("~1", "/").replace("~0", "~") for part in answer[1:].split("/")]
        return lambda path: _at(path, keys)
    if isinstance(answer, str):
        try:
            answer = re.compile(answer)
        except re.error as error:
            raise BadOption("self-consistency", answer=answer, wanted=f"a regular expression: {error}") from error
    if isinstance(answer, re.Pattern):
        return lambda path: _last_match(answer, path.text)
    if not callable(answer):
        raise BadOption("self-consistency", answer=answer, wanted=_FORMS)
    return answer


def _last_match(pattern: re.Pattern[str], text: str) -> str | None:
    found = None
    for match in pattern.finditer(text):
        found = match[1] if pattern.groups else match[0]
    return (found or "").strip() or None


def _at(path: Path, keys: Sequence[str]) -> Any:
    value = path.value
    if value is None or isinstance(value, str):
        try:
            value = json.loads(path.text)
        except ValueError:
            return None
    value = to_jsonable_python(value)
    for key in keys:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def key_of(answer: Any) -> Hashable:
    """What equal answers have in common.

    Hashable answers are equal where Python says so, but that True is not 1. Others are where they are the same JSON:
    the order of keys does not matter, nor does 1.0 for 1.

    :raises TypeError: It is neither hashable nor plain data.
    """
    try:
        hash(answer)
    except TypeError:
        try:
            return "json", json.dumps(_canonical(to_jsonable_python(_listed(answer))), sort_keys=True)
        except ValueError as error:  # pydantic's error for what it cannot write is one
            raise TypeError(f"an answer of type {type(answer).__name__} is neither hashable nor JSON") from error
    return isinstance(answer, bool), answer


def _listed(value: Any) -> Any:
    """A set has no order of its own: its parts by their JSON."""
    if isinstance(value, AbstractSet):
        return sorted(map(to_jsonable_python, value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
