"""A recipe: the options of a request as plain data, so that a file can say them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decodeplug.errors import BadOption
from decodeplug.request import Request

__all__ = ["Recipe"]

_NOT_DATA = {"stopping_criteria", "assistant"}  # functions and models cannot be written down
_NO_OPTION = {"prompt", "wanted"}  # names of parameters that are not an option, of a request and of an error


@dataclass(frozen=True, slots=True)
class Recipe:
    """Options of a request that are plain data: names, numbers, lists, mappings.

    Parts are named, with options (``"top-p=0.9"`` or ``{"name": "top-p", "top_p": 0.9}``). A
    constraint is a mapping with its kind: ``{"name": "json-schema", "schema": {...}}``,
    ``{"name": "regex", "pattern": "..."}``, ``{"name": "lark", "source": "sql_select"}``,
    ``{"name": "choice", "options": [...]}``.

        recipe = Recipe.load("extract.toml")
        host.generate(prompt, **recipe.options)

    :param options: Option name to value, as for ``Request``.
    :raises BadOption: An option does not exist, has a wrong value, or is not plain data.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.options, Mapping):
            raise BadOption("recipe", data=self.options, wanted="a mapping from names of options to values")
        for name, value in self.options.items():
            if name in _NO_OPTION or not isinstance(name, str):
                raise BadOption("recipe", option=name, wanted="options of a request; the prompt is given with the call")
            if name in _NOT_DATA or not _is_data(value):
                raise BadOption("recipe", wanted="plain data: names, numbers, lists and mappings", **{name: value})
        Request([0], **self.options)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """A recipe from the mapping that ``to_dict`` returns.

        :raises BadOption: It is no such mapping.
        """
        return cls(data)

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """A recipe from TOML text.

        :raises BadOption: It is not TOML; says where.
        """
        try:
            return cls(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise BadOption("recipe", wanted=f"TOML: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """A recipe from a ``.toml`` or ``.json`` file.

        :raises BadOption: There is no such file, or it cannot be read.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadOption("recipe", path=str(path), wanted=f"a file that can be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise BadOption("recipe", path=str(path), wanted=f"text in UTF-8: {error}") from error
        if path.suffix != ".json":
            return cls.from_toml(text)
        try:
            return cls.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise BadOption("recipe", path=str(path), wanted=f"JSON: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """A mapping of plain data, which JSON can hold."""
        return {name: _plain(value) for name, value in self.options.items()}

    def to_toml(self) -> str:
        """TOML text that ``from_toml`` reads back. Options that are None are left out, as TOML has no null."""
        lines = [f"{name} = {_toml(value)}" for name, value in self.to_dict().items() if value is not None]
        return "\n".join(lines) + "\n"


def _is_data(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_data(item) for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return all(map(_is_data, value))
    return value is None or isinstance(value, str | bool | int | float)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _toml(value: Any) -> str:
    """A TOML value on one line; strings and keys are written as JSON, which TOML reads."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_string(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and value != value:
        return "nan"
    if value is None:
        raise BadOption("recipe", value=None, wanted="no null inside a list or mapping: TOML has none; use JSON")
    if isinstance(value, str):
        return _toml_string(value)
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _toml_string(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise BadOption("recipe", value=text, wanted="whole characters: TOML has no half of a surrogate pair; use JSON")
    # JSON leaves DEL as it is, which TOML does not take.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
