"""Calls of functions: in the form that the model was taught, and with arguments that their schemas allow."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
from refused import REFUSED

from decodeplug import Host, Recipe, phases, tools
from decodeplug.constraints import accepts
from decodeplug.errors import BadOption, InvalidResult, UnsupportedSchema
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint, tiny_model
from decodeplug.values import ToolCall, ToolCalls
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})
BPE = Vocabulary(bpe_tokenizer(), 600, {514})
CITY = {"enum": ["Rome", "Bonn"]}
FUNCTIONS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"enum": [1, 2]}},
                "required": ["city"],
                "$defs": {"city": CITY},
            },
        },
    },
    {"name": "weather_everywhere"},
    {"name": "say", "parameters": {"properties": {"text": {"type": "string", "maxLength": 5}}, "required": ["text"]}},
]


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


ROME, EVERYWHERE = call("weather", '{"city": "Rome"}'), call("weather_everywhere", "{}")
SAY = call("say", '{"text": "é</t"}')
WRONG = [
    call("weather", '{"city": "Riga"}'),
    call("weather", "{}"),
    call("weather", '{"city": "Rome", "more": 1}'),
    call("weather_everywhere", '{"city": "Rome"}'),
    call("whether", "{}"),
    ROME[:-1],
    ROME + "\n",
    ROME + " so",
    ROME + EVERYWHERE,
    ROME.replace("\n", ""),
    "<tool_call>",
    f"so {ROME}\n{ROME[:-3]}",
]
RIGHT = {
    "auto": ["", "It is warm.", "a < b, <tool", ROME, f"Let me see. {SAY}", f"{ROME}\n{EVERYWHERE}\n{SAY}"],
    "required": [ROME, f"{ROME}\n{EVERYWHERE}\n{SAY}"],
    "weather": [ROME, f"{ROME}\n{ROME}"],
}


@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
@pytest.mark.parametrize("which", RIGHT)
def test_the_constraint_laws_hold(which: str, vocabulary: Vocabulary) -> None:
    others = [] if which == "auto" else ["", "It is warm.", f"so {ROME}"]
    check_constraint(
        tools(FUNCTIONS, choice=which),
        vocabulary,
        texts_accepted=RIGHT[which],
        texts_rejected=[*WRONG, *others, *([EVERYWHERE] if which == "weather" else [])],
        canonical=True,
        states=40,
    )


@pytest.mark.parametrize("which", RIGHT)
def test_the_last_check_knows_what_is_wrong_too(which: str) -> None:
    spec = tools(FUNCTIONS, choice=which)
    for text in WRONG:
        with pytest.raises(InvalidResult):
            spec.value(text)


def test_calls_are_read_in_their_order() -> None:
    spec = tools(FUNCTIONS)
    assert spec.value(f"Let me see. {ROME}\n{SAY}") == (
        ToolCall("weather", {"city": "Rome"}),
        ToolCall("say", {"text": "é</t"}),
    )
    assert spec.value("It is warm.") == ToolCalls()
    assert spec.value(ROME)[0].to_dict() == {
        "type": "function",
        "function": {"name": "weather", "arguments": {"city": "Rome"}},
    }


def test_there_is_one_call_only_where_calls_are_not_parallel() -> None:
    spec = tools(FUNCTIONS, choice="required", parallel=False)
    constraint = spec.compile(BPE)
    assert accepts(constraint, BPE, ROME)
    assert not accepts(constraint, BPE, f"{ROME}\n{ROME}")
    with pytest.raises(InvalidResult, match="several calls"):
        spec.value(f"{ROME}\n{ROME}")


@pytest.mark.parametrize("which", RIGHT)
def test_what_a_random_walk_writes_can_be_read(which: str) -> None:
    spec = tools(FUNCTIONS, choice=which)
    constraint, found = spec.compile(BPE), 0
    for seed in range(30):
        chance, state, ids = random.Random(seed), constraint.start(), []
        if which == "auto":
            ids = BPE.encode("Let me see: <tool_call>")
            for token in ids:
                state: Any = constraint.advance(state, token)
        for _ in range(120):
            choices = constraint.allowed(state).nonzero()[:, 0].tolist()
            if constraint.is_accepting(state) and (not choices or chance.random() < 0.5):
                found += bool(spec.value(BPE.decode(ids)))
                break
            ids.append(chance.choice(choices))
            state = constraint.advance(state, ids[-1])
    assert found > 20


@pytest.mark.parametrize(
    ("functions", "options", "named"),
    [
        ([], {}, "functions"),
        ({"name": "a"}, {}, "functions"),
        ([{"name": "a"}, {"name": "a"}], {}, "functions"),
        ([{"parameters": {}}], {}, "functions"),
        (["a"], {}, "functions"),
        ([{"name": "a", "parameters": {"type": "string"}}], {}, "parameters"),
        ([{"name": "a"}], {"choice": "b"}, "choice"),
    ],
)
def test_what_describes_no_functions_is_refused(functions: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(BadOption, match=f"tools: {named}="):
        tools(functions, **options)


def test_parameters_that_cannot_be_enforced_are_named_with_their_function() -> None:
    for late in (REFUSED, {"type": 3}):
        parameters = {"type": "object", "properties": {"a": late}}
        with pytest.raises(UnsupportedSchema) as caught:
            tools([{"name": "fine"}, {"name": "odd", "parameters": parameters}]).compile(BPE)
        assert caught.value.pointer.startswith("/odd/properties/a/")


@cache
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


def test_a_result_has_its_calls_and_says_that_they_are_why_it_ended() -> None:
    single = tools(FUNCTIONS[:1], choice="required", parallel=False)
    result = host().generate("The weather? ", constraint=single, max_new_tokens=100)
    assert result.finish_reason == "tool_calls"
    assert [made.name for made in result.tool_calls] == ["weather"]
    assert result.tool_calls[0].arguments["city"] in ("Rome", "Bonn")
    thought = host().generate("The weather? ", constraint=phases(single, budget=5), max_new_tokens=100)
    assert thought.finish_reason == "tool_calls"
    assert len(thought.tool_calls) == 1
    with host().stream("The weather? ", constraint=single, max_new_tokens=100) as stream:
        assert [chunk.finish_reason for chunk in stream][-1] == "tool_calls"


def test_a_recipe_can_say_which_functions_there_are() -> None:
    recipe = Recipe(
        {"constraint": {"name": "tools", "functions": FUNCTIONS[:1], "choice": "weather", "parallel": False}}
    )
    assert recipe == Recipe.from_toml(recipe.to_toml())
    result = host().generate("The weather? ", **recipe.options, max_new_tokens=100)
    assert [made.name for made in result.tool_calls] == ["weather"]


def test_a_result_without_calls_has_none_and_ends_as_any_other() -> None:
    result = host().generate("The weather? ", constraint=tools(FUNCTIONS), max_new_tokens=5)
    assert result.tool_calls == ()
    assert result.finish_reason in ("stop", "length")
    assert host().generate("The weather? ", max_new_tokens=5).tool_calls == ()
