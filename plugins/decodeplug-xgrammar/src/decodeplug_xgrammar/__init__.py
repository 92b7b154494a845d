"""Constraints over XGrammar's matchers, under names of their own: the doorbell, and the functions for Python.

Nothing heavy is imported before the first of them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from decodeplug.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from decodeplug_xgrammar.choice_spec import choice
    from decodeplug_xgrammar.grammar_spec import grammar
    from decodeplug_xgrammar.regex_spec import regex
    from decodeplug_xgrammar.schema_spec import explain, json_schema

__all__ = ["choice", "decodeplug_register", "explain", "grammar", "json_schema", "regex"]

_HOME = {
    "choice": "choice_spec",
    "explain": "schema_spec",
    "grammar": "grammar_spec",
    "json_schema": "schema_spec",
    "regex": "regex_spec",
}


@hookimpl
def decodeplug_register(registry: Registry) -> None:
    registry.constraint("xgrammar-json-schema", "decodeplug_xgrammar.schema_spec:json_schema")
    registry.constraint("xgrammar-regex", "decodeplug_xgrammar.regex_spec:regex")
    registry.constraint("xgrammar-choice", "decodeplug_xgrammar.choice_spec:choice")
    registry.constraint("xgrammar-grammar", "decodeplug_xgrammar.grammar_spec:grammar")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'decodeplug_xgrammar' has no attribute {name!r}")
    return getattr(import_module(f"decodeplug_xgrammar.{_HOME[name]}"), name)
