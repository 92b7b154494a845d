"""Constraints: which texts are allowed, enforced token by token and checked at the end."""

from decodeplug.constraints.accepting import accepts
from decodeplug.constraints.as_spec import as_spec
from decodeplug.constraints.choice_spec import Choice, choice
from decodeplug.constraints.lark_spec import LarkGrammar, NamedGrammar, lark
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.regex_spec import Regex, regex
from decodeplug.constraints.schema_spec import JsonSchema, json_schema

__all__ = [
    "Choice",
    "JsonSchema",
    "LarkGrammar",
    "MaskConstraint",
    "NamedGrammar",
    "Regex",
    "accepts",
    "as_spec",
    "choice",
    "json_schema",
    "lark",
    "regex",
]
