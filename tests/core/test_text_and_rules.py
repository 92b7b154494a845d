from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug import Host
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, tiny_model
from decodeplug.text import TextState, decoder, extend_text, find_stop, safe_length

BYTES = byte_tokenizer()
DECODE = decoder(BYTES)


@given(st.text(max_size=30))
def test_text_grown_id_by_id_is_the_text_decoded_at_once(text: str) -> None:
    ids = BYTES(text)["input_ids"]
    text = DECODE(ids)  # special tokens that the text spells are left out
    state = TextState()
    for end in range(1, len(ids) + 1):
        state = extend_text(DECODE, state, ids[:end])
        assert text.startswith(state.text), "what was shown is never taken back"
    assert state.text == text.rstrip("\ufffd"), "which is how an incomplete character looks as well"


def test_an_incomplete_character_is_held_back() -> None:
    ids = BYTES("a€")["input_ids"]
    state = extend_text(DECODE, extend_text(DECODE, TextState(), ids[:1]), ids[:3])
    assert state.text == "a"
    assert extend_text(DECODE, state, ids).text == "a€"


@given(st.text("ab\n", max_size=12), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3), st.integers(0, 12))
def test_the_first_stop_string_is_found_wherever_the_text_was_cut(text: str, stops: list[str], known: int) -> None:
    places = [text.find(stop) for stop in stops if stop in text]
    # What was known before was searched before, so no stop string ends inside it.
    if any(text.find(stop) + len(stop) <= known for stop in stops if stop in text):
        return
    assert find_stop(text, known, stops) == min(places, default=None)


@given(st.text("ab", max_size=8), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_what_is_shown_never_holds_the_beginning_of_a_stop_string(text: str, stops: list[str]) -> None:
    shown = text[: safe_length(text, stops)]
    held = text[len(shown) :]
    assert not held or any(stop.startswith(held) for stop in stops)
    for stop in stops:
        for size in range(1, len(stop)):
            assert not (text.endswith(stop[:size]) and len(held) < size)


@pytest.fixture(scope="module")
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


PROMPT = "The red bear "


def readable(text: str, size: int, start: int = 4) -> str:
    """A piece of a random model's text that is all ASCII, away from its beginning."""
    return next(
        piece for at in range(start, len(text)) if len(piece := text[at : at + size]) == size and piece.isascii()
    )


def test_a_stop_string_ends_the_text_before_it_and_its_last_token_is_kept(host: Host) -> None:
    free = host.generate(PROMPT, max_new_tokens=30)
    stop = readable(free.text, 2)
    result = host.generate(PROMPT, max_new_tokens=30, stop=[stop, "never written"])
    assert result.finish_reason == "stop"
    assert result.text == free.text[: free.text.find(stop)]
    assert result.token_ids == free.token_ids[: len(result.token_ids)]
    assert stop in host.tokenizer.decode(result.token_ids)
    assert stop not in host.tokenizer.decode(result.token_ids[:-1])


def test_a_draft_does_not_carry_the_text_past_a_stop_string(host: Host) -> None:
    free = host.generate(PROMPT, max_new_tokens=30)
    stop = readable(free.text, 2, 8)
    # The whole text stands in the prompt, so that lookup drafts across the stop string.
    prompt = [*host.tokenizer(PROMPT)["input_ids"], *free.token_ids, *host.tokenizer(PROMPT)["input_ids"]]
    plain = host.generate(prompt, max_new_tokens=30, stop=[stop])
    drafted = host.generate(prompt, max_new_tokens=30, stop=[stop], drafters=["lookup=min_ngram=1"])
    assert drafted.token_ids == plain.token_ids
    assert drafted.text == plain.text


def test_the_end_token_is_kept_in_the_ids_and_left_out_of_the_text(host: Host) -> None:
    ended = next(
        result
        for seed in range(40)
        if (result := host.generate(PROMPT, strategy="sample", seed=seed, max_new_tokens=80)).finish_reason == "stop"
    )
    assert ended.token_ids[-1] in host.end_ids
    assert ended.text == host.tokenizer.decode(ended.token_ids[:-1])
    assert len(ended.logprobs) == len(ended.token_ids)


@pytest.mark.parametrize("budget", [1, 2, 7])
def test_the_budget_is_never_exceeded(host: Host, budget: int) -> None:
    result = host.generate(PROMPT, max_new_tokens=budget, drafters=["lookup=min_ngram=1"])
    assert len(result.token_ids) == budget
    assert result.finish_reason == "length"


def test_a_stopping_criterion_of_transformers_ends_the_text(host: Host) -> None:
    result = host.generate(PROMPT, max_new_tokens=30, stopping_criteria=[lambda ids, _: ids.shape[-1] >= 12])
    assert result.finish_reason == "stop"
    assert len(result.prompt_ids) + len(result.token_ids) == 12


def test_a_request_whose_time_is_up_before_it_begins_runs_no_forward(host: Host) -> None:
    result = host.generate(PROMPT, max_new_tokens=200, timeout_s=1e-9)
    assert result.finish_reason == "timeout"
    assert not result.token_ids
    assert result.trace.forwards == 0
