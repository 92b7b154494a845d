"""What a host finds, and what it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from decodeplug.plugin import BadOption, InvalidResult, Plugins

import decodeplug_xgrammar
from decodeplug_xgrammar.choice_spec import XGrammarChoice
from decodeplug_xgrammar.grammar_spec import XGrammarGrammar
from decodeplug_xgrammar.regex_spec import XGrammarRegex
from decodeplug_xgrammar.schema_spec import XGrammarJsonSchema

SCHEMA = {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 2}
KINDS: dict[str, tuple[dict[str, Any], type]] = {
    "xgrammar-json-schema": ({"schema": SCHEMA, "layout": "compact"}, XGrammarJsonSchema),
    "xgrammar-regex": ({"pattern": "[a-z]+"}, XGrammarRegex),
    "xgrammar-choice": ({"options": ["yes", "no"]}, XGrammarChoice),
    "xgrammar-grammar": ({"text": 'root ::= "a"'}, XGrammarGrammar),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_recipe_names_each_kind_and_its_options(name: str) -> None:
    plugins = Plugins.load(["decodeplug-xgrammar"])
    assert plugins.failures == []
    options, made = KINDS[name]
    part = plugins.registry.build("constraint", {"name": name, **options})
    assert type(part) is made
    assert part.kind == name


def test_the_built_in_kinds_keep_their_names() -> None:
    registry = Plugins.load(["decodeplug-xgrammar"]).registry
    assert {"json-schema", "regex", "choice", "lark"} <= set(registry.names("constraint"))


def test_finding_the_plugin_imports_no_xgrammar() -> None:
    program = "import sys, decodeplug_xgrammar; print(sorted({'xgrammar', 'torch'} & sys.modules.keys()))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_name_of_the_front_is_there_and_no_other() -> None:
    assert all(callable(getattr(decodeplug_xgrammar, name)) for name in decodeplug_xgrammar.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lark'"):
        decodeplug_xgrammar.__getattr__("lark")


def test_options_are_checked_as_those_of_the_built_in_kinds() -> None:
    with pytest.raises(BadOption, match="layout"):
        Plugins.load(["decodeplug-xgrammar"]).registry.build(
            "constraint", {"name": "xgrammar-json-schema", "schema": SCHEMA, "layout": "wide"}
        )


def test_the_finished_text_is_judged_once_more() -> None:
    spec = decodeplug_xgrammar.json_schema(SCHEMA)
    assert spec.value("[1, 2]") == [1, 2]
    for text in ("[1, 3]", "[1, 2", json.dumps([1, 1, 1])):
        with pytest.raises(InvalidResult):
            spec.value(text)
