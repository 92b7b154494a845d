"""How a part and its options are written in one line: ``top-k=50,min_tokens_to_keep=2``.

    name                        the part with its defaults
    name=VALUE                  VALUE goes to the part's first option
    name=VALUE,option=VALUE     further options are named
    name=option=VALUE,...       all of them named

A VALUE is written as in JSON (``0.9``, ``true``, ``"a, b"``, ``[1, 2]``,
``{"12": 1.5}``); anything else is text as it stands, up to the next comma.
Text with a comma or an equals sign in it is put in double quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from decodeplug.errors import BadOption

__all__ = ["FIRST", "Spec", "Value", "normal_name"]

FIRST = ""
"""The key of a value that was given without a name."""

_KEY = re.compile(r"\s*([A-Za-z_][\w-]*)\s*=")
_JSON = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Value:
    """An option's value, and the text it was read from where there was one.

    The text is kept because only the part knows whether ``007`` is a number.
    """

    parsed: object
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A part's name and its options, in the order in which they were given.

    :ivar name: Lower-case with dashes.
    :ivar options: Option name (with underscores) to value; ``FIRST`` stands for
        the value without a name.
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, given: str | Mapping[str, object]) -> Spec:
        """Read a line, or the form that recipes use: ``{"name": "top-k", "k": 50}``.

        :raises BadOption: It cannot be read; says where.
        """
        return cls._from_text(given) if isinstance(given, str) else cls._from_mapping(given)

    @classmethod
    def _from_text(cls, line: str) -> Spec:
        name, equals, rest = line.partition("=")
        if not name.strip():
            raise BadOption("part", spec=line, wanted="a name, as in 'top-p=0.9'")
        return cls(normal_name(name), _options(line, rest) if equals else {})

    @classmethod
    def _from_mapping(cls, mapping: Mapping[str, object]) -> Spec:
        name = mapping.get("name")
        if not isinstance(name, str) or not name.strip():
            raise BadOption("part", spec=dict(mapping), wanted="a mapping with the part's 'name' in it")
        options = {_option_name(key): Value(value) for key, value in mapping.items() if key != "name"}
        return cls(normal_name(name), options)


def normal_name(name: str) -> str:
    """A part's name as it is kept: underscores become dashes."""
    return name.strip().replace("_", "-")


def _option_name(name: str) -> str:
    return name.replace("-", "_")


def _options(line: str, rest: str) -> dict[str, Value]:
    """Read ``VALUE,option=VALUE,...``."""
    options: dict[str, Value] = {}
    position = 0
    while True:
        key = _KEY.match(rest, position)
        name = _option_name(key[1]) if key else FIRST
        if not key and options:
            raise BadOption("part", spec=line, wanted="a name for every option after the first, as in 'a=1,b=2'")
        if name in options:
            raise BadOption("part", spec=line, wanted=f"{name} only once")
        options[name], position = _value(line, rest, key.end() if key else position)
        if position >= len(rest):
            return options
        position += 1  # the comma


def _value(line: str, rest: str, start: int) -> tuple[Value, int]:
    """One value, and where the comma after it (or the end) is."""
    comma = rest.find(",", start)
    end = len(rest) if comma < 0 else comma
    text = rest[start:end].strip()
    lead = len(rest) - len(rest[start:].lstrip())
    try:
        parsed, stop = _JSON.raw_decode(rest, lead)
    except json.JSONDecodeError:
        stop = -1
    else:
        after = len(rest) - len(rest[stop:].lstrip())
        if after == len(rest) or rest[after] == ",":
            return Value(parsed, rest[start:after].strip()), after
    if text.startswith('"'):
        raise BadOption("part", spec=line, wanted="a closing double quote, and then a comma or the end")
    if not text:
        raise BadOption("part", spec=line, wanted="a value after each equals sign and comma")
    return Value(text, text), end
