"""Plugin-based decoding middleware for Hugging Face models.

    from decodeplug import Host

    host = Host.from_pretrained("smollm2")
    host.generate("The capital of France is", max_new_tokens=8).text

Names are imported on first use, so ``import decodeplug`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decodeplug.checkup import doctor
    from decodeplug.constraints import choice, json_schema, lark, phases, product, regex, tools, union
    from decodeplug.errors import DecodeplugError
    from decodeplug.hookspecs import hookimpl
    from decodeplug.host import Host
    from decodeplug.recipe import Recipe
    from decodeplug.request import Request
    from decodeplug.result import Chunk, Result

__version__ = "0.1.0"

__all__ = [
    "Chunk",
    "DecodeplugError",
    "Host",
    "Recipe",
    "Request",
    "Result",
    "choice",
    "doctor",
    "hookimpl",
    "json_schema",
    "lark",
    "phases",
    "product",
    "regex",
    "tools",
    "union",
]

_HOME = {
    "Chunk": "result",
    "DecodeplugError": "errors",
    "Host": "host",
    "Recipe": "recipe",
    "Request": "request",
    "Result": "result",
    "choice": "constraints",
    "doctor": "checkup",
    "hookimpl": "hookspecs",
    "json_schema": "constraints",
    "lark": "constraints",
    "phases": "constraints",
    "product": "constraints",
    "regex": "constraints",
    "tools": "constraints",
    "union": "constraints",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None and name in _error_names():
        home = "errors"
    if home is None:
        raise AttributeError(f"module 'decodeplug' has no attribute {name!r}")
    return getattr(import_module(f"decodeplug.{home}"), name)


def _error_names() -> list[str]:
    return import_module("decodeplug.errors").__all__


def __dir__() -> list[str]:
    return sorted({*__all__, *_error_names(), "__version__"})
