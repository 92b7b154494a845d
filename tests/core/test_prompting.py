"""Prompts are put together as they say, and a chain of thought finds its own answer."""

from __future__ import annotations

import re

import pytest

from decodeplug import Host
from decodeplug.errors import BadOption
from decodeplug.prompting import ChainOfThought, Example, chat, structured
from decodeplug.testing import byte_tokenizer, tiny_model


def test_a_structured_prompt_has_its_parts_in_order_and_the_input_last() -> None:
    text = structured("a letter", instructions="Sum it up.", context="An office.", constraints=["short", "in French"])
    assert text == (
        "Context:\nAn office.\n\nInstructions:\nSum it up.\n\nConstraints:\n- short\n- in French\n\nInput:\na letter"
    )


def test_parts_that_are_empty_are_left_out() -> None:
    assert structured("a letter", instructions=" ", constraints=[]) == "a letter"
    assert structured("a letter", context="An office.") == "Context:\nAn office.\n\nInput:\na letter"
    assert structured("", instructions="Tell a story.") == "Instructions:\nTell a story."


def test_examples_are_turns_of_the_chat() -> None:
    assert chat("c?", system="Be brief.", examples=[Example("a?", "A"), Example("b?", "B")]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "b?"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "c?"},
    ]
    assert chat("c?") == [{"role": "user", "content": "c?"}]


def test_the_cue_names_the_marker() -> None:
    thinking = ChainOfThought(marker="So:")
    assert thinking.ask("2 + 2?") == '2 + 2?\nThink step by step. Then write "So:" and the answer.'
    assert ChainOfThought(cue="").ask("2 + 2?") == "2 + 2?"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2 + 2 = 4. The answer is 4.", "4"),
        ("the answer is: $1,250.50", "1,250.50"),
        ("The answer is **-3**", "-3"),
        ("The answer is 12, 13 or 14", "12"),
        ("I do not know", None),
        ("The answer is not 5", None),
    ],
)
def test_the_answer_behind_the_marker_is_found(text: str, number: str | None) -> None:
    found = re.findall(ChainOfThought().answer, text)
    assert (found[-1] if found else None) == number


def test_a_worked_example_holds_what_its_own_pattern_finds() -> None:
    thinking = ChainOfThought(marker="Therefore", pattern="yes|no")
    example = thinking.example("Is 4 even?", "4 / 2 = 2.", "yes")
    assert example == Example(thinking.ask("Is 4 even?"), "4 / 2 = 2. Therefore yes.")
    assert re.findall(thinking.answer, example.answer) == ["yes"]


@pytest.mark.parametrize(("marker", "pattern"), [(" ", r"\d"), ("So", "(")])
def test_what_finds_no_answer_is_refused(marker: str, pattern: str) -> None:
    with pytest.raises(BadOption, match="chain of thought"):
        ChainOfThought(marker=marker, pattern=pattern)


def test_messages_go_through_the_chat_template_and_answers_into_a_vote() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    thinking = ChainOfThought()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[]) as host:
        result = host.generate(chat("hi"), strategy="self-consistency", answer=thinking.answer, n=2, max_new_tokens=4)
        assert result.prompt_ids == host.generate("user: hi\n", max_new_tokens=1).prompt_ids
