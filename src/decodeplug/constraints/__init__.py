"""Constraints: which texts are allowed, enforced token by token and checked at the end."""

from decodeplug.constraints.accepting import accepts
from decodeplug.constraints.as_spec import as_spec
from decodeplug.constraints.budget import within_budget
from decodeplug.constraints.choice_spec import Choice, choice
from decodeplug.constraints.lark_spec import LarkGrammar, NamedGrammar, lark
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.phases_spec import Phases, phases
from decodeplug.constraints.product_spec import Product, product
from decodeplug.constraints.regex_spec import Regex, regex
from decodeplug.constraints.schema_report import explain
from decodeplug.constraints.schema_spec import JsonSchema, json_schema
from decodeplug.constraints.tool_forms import ToolForm
from decodeplug.constraints.tool_template import form_of
from decodeplug.constraints.tools_spec import Tools, tools
from decodeplug.constraints.union_spec import Union, union

__all__ = [
    "Choice",
    "JsonSchema",
    "LarkGrammar",
    "MaskConstraint",
    "NamedGrammar",
    "Phases",
    "Product",
    "Regex",
    "ToolForm",
    "Tools",
    "Union",
    "accepts",
    "as_spec",
    "choice",
    "explain",
    "form_of",
    "json_schema",
    "lark",
    "phases",
    "product",
    "regex",
    "tools",
    "union",
    "within_budget",
]
