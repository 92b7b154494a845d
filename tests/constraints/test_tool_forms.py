"""Every form of calls, under every choice: the laws, what is read, and the token that begins them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import pytest
from constraints.tool_examples import BPE, FUNCTIONS, MARK, MARKED, TAGS, answer, call, marked_host

from decodeplug import Host, phases, product, regex, tools, union
from decodeplug.constraints import accepts
from decodeplug.errors import BadOption, InvalidResult
from decodeplug.testing import byte_tokenizer, check_constraint
from decodeplug.values import ToolCall, ToolCalls
from decodeplug.vocabulary import Vocabulary

Form = Literal["hermes", "llama3", "mistral"]
FORMS: list[Form] = ["hermes", "llama3", "mistral"]
CHOICES = ["auto", "required", "weather"]
VOCABULARIES = {"bytes": Vocabulary(byte_tokenizer(), 300, {258}), "bpe": BPE, "with a token for the mark": MARKED}


def texts(form: Form, choice: str) -> tuple[list[str], list[str]]:
    """Texts that a form accepts under a choice, and others that it rejects."""
    rome, everywhere = call(form, "weather", '{"city": "Rome", "days": 2}'), call(form, "weather_everywhere", "{}")
    say = call(form, "say", '{"text": "]}</t, é"}')
    right = [answer(form, rome), *([answer(form, rome, rome)] if form != "llama3" else [])]
    wrong = [
        answer(form, call(form, "weather", '{"city": "Riga"}')),
        answer(form, call(form, "weather", '{"city": "Rome", "more": 1}')),
        answer(form, call(form, "whether", "{}")),
        answer(form, rome)[:-1],
        answer(form, rome) + " so",
        answer(form, rome).replace(": {", ":{"),
    ]
    others = [answer(form, everywhere), answer(form, say)]
    free = ["", "It is warm.", 'é {"na', "[TOOL", "<tool", ' {"name": 1']
    before = [f"Well. {answer(form, rome)}"]
    if choice == "auto":
        return [*right, *others, *free, *before], wrong
    (wrong if choice == "weather" else right).extend(others)
    return right, [*wrong, *free, *before]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("form", FORMS)
def test_the_constraint_laws_hold(form: Form, choice: str, vocabulary: str) -> None:
    right, wrong = texts(form, choice)
    check_constraint(
        tools(FUNCTIONS, choice=choice, form=form),
        VOCABULARIES[vocabulary],
        texts_accepted=right,
        texts_rejected=wrong,
        canonical=True,
        states=40,
    )


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("form", FORMS)
def test_the_last_check_knows_what_is_wrong_too(form: Form, choice: str) -> None:
    spec = tools(FUNCTIONS, choice=choice, form=form)
    for text in texts(form, choice)[1]:
        if ":{" not in text:  # layout is the business of the masks
            with pytest.raises(InvalidResult):
                spec.value(text)


@pytest.mark.parametrize("form", FORMS)
def test_calls_are_read_in_their_order(form: Form) -> None:
    made = [("weather", {"city": "Bonn"}), ("say", {"text": "}, ]"})][: 1 if form == "llama3" else 2]
    written = answer(form, call(form, "weather", '{"city": "Bonn"}'), call(form, "say", '{"text": "}, ]"}'))
    if form == "llama3":
        written = written.partition("\n")[0]
    assert tools(FUNCTIONS, form=form).value(written) == tuple(ToolCall(*each) for each in made)


def test_a_call_of_llama_is_the_whole_text_or_none() -> None:
    spec, rome = tools(FUNCTIONS, form="llama3"), call("llama3", "weather", '{"city": "Rome"}')
    constraint = spec.compile(BPE)
    assert spec.value(f" {rome}") == spec.value(f"Well: {rome}") == ToolCalls()
    assert accepts(constraint, BPE, f" {rome}")
    for text in ('{"name" is a key', '{"name": "Bruno"}', f"{rome}; {rome}", f"{rome}\n"):
        assert not accepts(constraint, BPE, text), text


def test_a_call_of_mistral_may_have_an_id_and_a_space_in_front() -> None:
    named = '[TOOL_CALLS] [{"name": "weather_everywhere", "arguments": {}, "id": "aB3456789"}]'
    spec = tools(FUNCTIONS, form="mistral", choice="required")
    constraint = spec.compile(MARKED)
    assert accepts(constraint, MARKED, named)
    assert spec.value(named) == (ToolCall("weather_everywhere", {}, "aB3456789"),)
    assert spec.value(named)[0].to_dict()["id"] == "aB3456789"
    for wrong in (named.replace("aB3", "a-3"), named.replace("aB3", "a3"), named.replace(" [", "  [")):
        assert not accepts(constraint, MARKED, wrong)
        with pytest.raises(InvalidResult):
            spec.value(wrong)


@pytest.mark.parametrize("form", ["hermes", "mistral"])
def test_there_is_one_call_only_where_calls_are_not_parallel(form: Form) -> None:
    spec = tools(FUNCTIONS, choice="required", parallel=False, form=form)
    rome = call(form, "weather", '{"city": "Rome"}')
    assert accepts(spec.compile(BPE), BPE, answer(form, rome))
    assert not accepts(spec.compile(BPE), BPE, answer(form, rome, rome))
    with pytest.raises(InvalidResult, match="several calls"):
        spec.value(answer(form, rome, rome))


def test_a_form_that_does_not_exist_is_refused() -> None:
    wrong: Any = "llama2"
    with pytest.raises(BadOption, match=r"tools: form='llama2'.*hermes, llama3, mistral"):
        tools(FUNCTIONS, form=wrong)


def test_the_special_token_is_the_way_to_write_the_mark() -> None:
    required, auto = (tools(FUNCTIONS, choice=c, form="mistral").compile(MARKED) for c in ("required", "auto"))
    assert required.allowed(required.start()).nonzero().flatten().tolist() == [MARK]
    assert tuple(required.forced(required.start())) == (MARK,)
    assert auto.allowed(auto.start())[MARK]
    compiled: list[Any] = [required, auto]
    for constraint in compiled:
        inside = constraint.advance(constraint.start(), MARK)
        assert not constraint.allowed(inside)[MARK]
        assert constraint.advance(inside, MARK) is None
        spelt: Any = constraint.start()
        for token in MARKED.encode("[TOOL_CALLS]"):
            assert token != MARK
            spelt = constraint.advance(spelt, token)
        assert spelt == inside
        assert constraint.spoken_ids == {MARK}


@pytest.mark.parametrize("form", ["hermes", "llama3"])
def test_other_forms_never_write_that_token(form: Form) -> None:
    constraint = tools(FUNCTIONS, form=form).compile(MARKED)
    assert not constraint.allowed(constraint.start())[MARK]
    assert constraint.advance(constraint.start(), MARK) is None


@cache
def host() -> Host:
    return marked_host()


MADE = tools(FUNCTIONS[:2], choice="required", parallel=False, form="mistral")


@pytest.mark.parametrize("drafters", [[], ["forced"], ["lookup=min_ngram=1"]])
def test_a_host_writes_the_token_and_says_its_name(drafters: list[str]) -> None:
    result = host().generate("The weather? ", constraint=MADE, drafters=drafters, max_new_tokens=80)
    assert result.token_ids[0] == MARK
    assert MARK not in result.token_ids[1:]
    assert result.text.startswith("[TOOL_CALLS]")
    assert (result.finish_reason, len(result.tool_calls)) == ("tool_calls", 1)
    assert host().accepts(MADE, result.text)
    with host().stream("The weather? ", constraint=MADE, drafters=drafters, max_new_tokens=80) as stream:
        assert "".join(chunk.text for chunk in stream) == result.text


def test_a_model_that_likes_the_token_calls_where_it_need_not() -> None:
    auto = tools(FUNCTIONS[:2], parallel=False, form="mistral")
    likes = {"name": "bias", "bias": [[[MARK], 1000.0]]}
    result = host().generate("The weather? ", constraint=auto, processors=[likes], max_new_tokens=80)
    assert result.token_ids[0] == MARK
    assert result.finish_reason == "tool_calls"
    plain = host().generate("The weather? ", constraint=regex("(?s).*"), processors=[likes], max_new_tokens=8)
    assert MARK not in plain.token_ids


@pytest.mark.parametrize(
    "spec",
    [phases(MADE, budget=3), union(MADE, regex("[0-9]")), product(MADE, MADE)],
    ids=["phases", "union", "product"],
)
def test_the_token_is_text_in_constraints_that_are_made_of_others(spec: Any) -> None:
    likes = {"name": "bias", "bias": [[[MARK], 1000.0]]}
    result = host().generate("The weather? ", constraint=spec, processors=[likes], max_new_tokens=120)
    assert MARK in result.token_ids
    assert "[TOOL_CALLS]" in result.text
    assert host().accepts(spec, result.text)
    assert result.value


def test_the_mark_is_spelt_out_where_another_part_of_a_product_knows_no_special_token() -> None:
    spec = product(MADE, regex(r"(?s)\[.*"))
    result = host().generate("The weather? ", constraint=spec, max_new_tokens=120)
    assert MARK not in result.token_ids
    assert result.text.startswith("[TOOL_CALLS]")
    assert len(result.value[0]) == 1


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize("form", FORMS)
def test_arguments_that_no_mask_can_hold_are_checked_while_they_are_written(form: Form, choice: str) -> None:
    spec = tools([*FUNCTIONS, TAGS], choice=choice, form=form)
    right = [answer(form, call(form, "tag", written)) for written in ('{"tags": []}', '{"tags": ["red", "old"]}')]
    check_constraint(
        spec,
        MARKED,
        texts_accepted=[*right, answer(form, call(form, "say", '{"text": "red"}'))],
        texts_rejected=[answer(form, call(form, "tag", '{"tags": ["red", "red"]}'))],
        canonical=True,
        states=25,
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_host_writes_arguments_that_no_mask_can_hold(form: Form) -> None:
    long: dict[str, Any] = {"name": "tag", "parameters": {**TAGS["parameters"]}}
    long["parameters"]["properties"] = {"tags": {**TAGS["parameters"]["properties"]["tags"], "minItems": 2}}
    spec = tools([long], choice="required", parallel=False, form=form)
    for seed in range(4):
        options: dict[str, Any] = {"processors": ["temperature=2"], "seed": seed, "max_new_tokens": 120}
        result = host().generate("Tags: ", constraint=spec, **options)
        tags = result.tool_calls[0].arguments["tags"]
        assert 2 <= len(tags) == len(set(tags))
