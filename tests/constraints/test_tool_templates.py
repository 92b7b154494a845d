"""What chat templates write for calls is what the constraint of that form allows, and the template names the form."""

from __future__ import annotations

from typing import Any

import pytest
from constraints.tool_examples import (
    BPE,
    FUNCTIONS,
    LLAMA,
    MARKED,
    MISTRAL,
    QWEN,
    TEMPLATES,
    Written,
    marked_host,
    tokenizer_with,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from decodeplug import phases, regex, tools, union
from decodeplug.constraints import accepts, form_of
from decodeplug.errors import BadOption
from decodeplug.values import ToolCall

ASKED = {"role": "user", "content": "Well?"}
SAID = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
CALLS = st.one_of(
    st.builds(lambda city: ("weather", {"city": city}), st.sampled_from(["Rome", "Bonn"])),
    st.builds(lambda text: ("say", {"text": text}), SAID),
    st.just(("weather_everywhere", {})),
)


def written_by(template: Written, calls: list[tuple[str, Any]], content: str = "") -> str:
    """The answer with these calls, as the template writes it: what stands behind the generation prompt."""
    tokenizer = tokenizer_with(template.template)
    made = [ToolCall(*call, id=f"call{number:05}").to_dict() for number, call in enumerate(calls)]
    message = {"role": "assistant", "content": content, "tool_calls": made}
    prompt = tokenizer.apply_chat_template([ASKED], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([ASKED, message], tokenize=False)
    assert whole.startswith(prompt)
    assert whole.endswith(template.end)
    return whole.removeprefix(prompt).removesuffix(template.end)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(deadline=None, max_examples=40)
@given(calls=st.lists(CALLS, min_size=1, max_size=3))
def test_what_a_template_writes_is_allowed_and_read_back(name: str, calls: list[tuple[str, Any]]) -> None:
    template = TEMPLATES[name]
    form: Any = template.form
    calls = calls[:1] if form == "llama3" else calls
    text = written_by(template, calls)
    for choice in ("auto", "required"):
        spec = tools(FUNCTIONS, choice=choice, form=form)
        for vocabulary in (BPE, MARKED):
            assert accepts(spec.compile(vocabulary), vocabulary, text), text
        assert [(made.name, made.arguments) for made in spec.value(text)] == calls


def test_text_before_the_calls_is_allowed_as_a_template_writes_it() -> None:
    text = written_by(TEMPLATES["qwen"], [("weather", {"city": "Rome"})], content="Let me see.")
    assert text.startswith("Let me see.\n<tool_call>")
    assert accepts(tools(FUNCTIONS).compile(BPE), BPE, text)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_writes_calls_names_their_form(name: str) -> None:
    assert form_of(tokenizer_with(TEMPLATES[name].template)).name == TEMPLATES[name].form


CONTENT_ONLY = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
REFUSES = "{% for message in messages %}{% if message.tool_calls %}{{ raise_exception('no') }}{% endif %}{% endfor %}"


@pytest.mark.parametrize("template", [None, CONTENT_ONLY, REFUSES])
def test_without_a_template_that_writes_calls_the_form_is_that_of_hermes(template: Any) -> None:
    assert form_of(tokenizer_with(template)).name == "hermes"


def test_of_several_templates_the_one_for_functions_counts() -> None:
    several: Any = {"default": CONTENT_ONLY, "tool_use": LLAMA}
    assert form_of(tokenizer_with(several)).name == "llama3"
    assert form_of(None).name == "hermes"


OTHERS = {
    "mistral from version 11 on": MISTRAL.replace("SPACE", "").replace(
        """(call.function | tojson)[:-1] + ', "id": "' + call.id + '"}'""",
        "call.function.name + '[ARGS]' + (call.function.arguments | tojson)",
    ),
    "tags": QWEN.replace('{"name": "', "<function=").replace('", "arguments": ', ">"),
    "arguments as text": "{% for message in messages %}{% for call in message.tool_calls or [] %}"
    "{{ '<call>' + call.function.name + '\n' + call.function.arguments + '</call>' }}{% endfor %}{% endfor %}",
    "llama after a token": LLAMA.replace("""{{- '{"name""", """{{- '<|python_tag|>{"name"""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_template_with_calls_in_another_form_is_refused_with_what_it_writes(name: str) -> None:
    with pytest.raises(BadOption, match=r"'hermes', 'llama3', 'mistral'.*a value like no other"):
        form_of(tokenizer_with(OTHERS[name]))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_host_takes_the_form_of_its_tokenizer(name: str) -> None:
    template, opened = TEMPLATES[name], {"hermes": "<tool_call>", "llama3": '{"name"', "mistral": "[TOOL_CALLS]"}
    spec = tools(FUNCTIONS[:2], choice="required", parallel=False)
    with marked_host(template.template) as own:
        result = own.generate([ASKED], constraint=spec, max_new_tokens=100)
        assert result.text.startswith(opened[template.form])
        assert result.finish_reason == "tool_calls"
        assert own.accepts(union(regex("[0-9]+"), spec), result.text)
        assert own.accepts(phases(spec, marker=" so "), f"Well, so {result.text}")
        named = tools(FUNCTIONS[:2], choice="required", parallel=False, form="hermes")
        assert own.generate([ASKED], constraint=named, max_new_tokens=100).text.startswith("<tool_call>")


def test_a_host_whose_template_has_another_form_says_so_before_the_first_token() -> None:
    with marked_host(OTHERS["tags"]) as own:
        with pytest.raises(BadOption, match="chat template"):
            own.generate([ASKED], constraint=tools(FUNCTIONS), max_new_tokens=4)
        named = tools(FUNCTIONS, choice="required", form="llama3")
        assert own.accepts(named, '{"name": "weather_everywhere", "parameters": {}}')
