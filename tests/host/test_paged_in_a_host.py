"""The paged cache behind the front door: what requests share, how they wait for room, and what is said of it."""

from __future__ import annotations

import contextlib
import threading
from functools import cache
from typing import Any

import pytest
from heads.guessing import random_heads

from decodeplug import Host, IncompatibleParts, Request, regex
from decodeplug.caches import Paged
from decodeplug.drafters import HeadDrafts
from decodeplug.errors import CacheFull
from decodeplug.testing import bpe_tokenizer, tiny_model
from decodeplug.testing.families import family_model

RULES = "You are the librarian of the bears. Answer in one line, and never tell where the honey is. " * 3
QUESTIONS = [f"{number} bears ask: who wrote the book of the moon? " for number in range(20)]
SMALL = {"name": "paged", "block_size": 4}


@cache
def dense(prompt: str, budget: int = 6) -> list[int]:
    return new_host().generate(prompt, max_new_tokens=budget).token_ids


def new_host(**options: Any) -> Host:
    return Host(tiny_model(vocab=len(bpe_tokenizer())), bpe_tokenizer(), plugins=[], **options)


def block_bytes(host: Host) -> int:
    """Of blocks of four ids."""
    host.generate("a", cache=SMALL, max_new_tokens=2)
    return host.target.shared[Paged(4)].groups[None].block_bytes


def held(host: Host) -> int:
    return sum(pages.bytes_held for pages in host.target.shared.values())


@pytest.mark.parametrize("at_once", [16, 1])
def test_one_system_prompt_of_twenty_requests_is_computed_once(at_once: int) -> None:
    host = new_host(max_batch=at_once)
    requests = [Request(RULES + question, cache="paged", max_new_tokens=6) for question in QUESTIONS]
    results = list(host.run(requests, ordered=True))
    assert [result.token_ids for result in results] == [dense(RULES + question) for question in QUESTIONS]
    prompts = sum(len(result.prompt_ids) for result in results)
    reused = sum(result.trace.cache["reused"] for result in results)
    assert prompts - reused < 0.3 * prompts
    widths = sum(step.width for result in results for step in result.trace.steps)
    assert widths == prompts - reused + sum(len(result.token_ids) - 1 for result in results)
    assert held(host) == 0


def test_the_next_turn_of_a_conversation_goes_on_from_the_last_one() -> None:
    host = new_host()
    first = host.generate(RULES, cache=SMALL, max_new_tokens=9)
    longer = [*first.prompt_ids, *first.token_ids, 7, 8, 9]
    second = host.generate(longer, cache=SMALL, max_new_tokens=4)
    assert second.trace.cache["reused"] >= len(longer) - 3 - 4
    assert second.token_ids == host.generate(longer, max_new_tokens=4).token_ids


@pytest.mark.parametrize("most", [24, 40])
def test_a_prompt_that_is_fed_in_pieces_is_known_piece_by_piece(most: int) -> None:
    host = new_host(max_batch_tokens=most)
    prompts = [RULES + question for question in QUESTIONS[:3]]
    for _ in range(2):
        results = host.generate_batch([Request(one, cache=SMALL, max_new_tokens=6) for one in prompts])
        assert [result.token_ids for result in results] == [dense(one) for one in prompts]
    assert all(result.trace.cache["reused"] > 0.6 * len(result.prompt_ids) for result in results)


def test_samples_and_beams_share_their_prompt() -> None:
    host = new_host()
    options: dict[str, Any] = {"max_new_tokens": 12, "cache": SMALL}
    length = len(host.generate(RULES, max_new_tokens=1).prompt_ids)
    plain = host.generate(RULES, strategy="beam", num_beams=4, **{**options, "cache": "dense"})
    for strategy in (
        {"strategy": "sample", "num_return_sequences": 6, "seed": 1},
        {"strategy": "beam", "num_beams": 6},
    ):
        facts = host.generate(RULES, **strategy, **options).trace.cache
        assert facts["blocks"] <= length // 4 + 6 * 5, strategy
        assert facts["shared_blocks"] >= length // 4
        assert facts["copied_bytes"] < plain.trace.cache["copied_bytes"] / 4
    assert host.generate(RULES, strategy="beam", num_beams=4, **options).token_ids == plain.token_ids


def test_requests_wait_until_there_is_room() -> None:
    host = new_host()
    prompts = [question * 3 for question in QUESTIONS[:8]]
    longest = max(len(host.generate(one, max_new_tokens=1).prompt_ids) for one in prompts)
    room = (2 * (longest // 4 + 3) + 1) * block_bytes(host)
    paged = {**SMALL, "max_bytes": room}
    results = host.generate_batch([Request(one, cache=paged, max_new_tokens=6) for one in prompts])
    assert [result.token_ids for result in results] == [dense(one) for one in prompts]
    assert max(result.trace.cache["peak_bytes"] for result in results) <= room
    assert all(result.trace.cache["reserved_bytes"] <= room for result in results)


def test_one_that_does_not_fit_alone_fails_and_nobody_else_does() -> None:
    host = new_host()
    room = 12 * block_bytes(host)
    paged = {**SMALL, "max_bytes": room}
    requests = [
        Request("a bear", cache=paged, max_new_tokens=6),
        Request(RULES, cache=paged, max_new_tokens=6),
        Request("the moon", cache=paged, max_new_tokens=6),
        Request("the river", cache=paged, max_new_tokens=80, end_ids=[]),
    ]
    results = host.generate_batch(requests, return_errors=True)
    assert [type(result.error) for result in results] == [type(None), CacheFull, type(None), CacheFull]
    assert [results[number].token_ids for number in (0, 2)] == [dense("a bear"), dense("the moon")]
    assert "Raise the budget" in str(results[1].error)
    with pytest.raises(CacheFull):
        host.generate(RULES, cache=paged, max_new_tokens=6)
    assert host.generate("a bear", cache=paged, max_new_tokens=6).token_ids == dense("a bear")
    assert held(host) == 0


MIXED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "samples of three prompts": [
        (
            f"{number} bears read: ",
            {"strategy": "sample", "num_return_sequences": 6, "max_new_tokens": 60, "seed": number},
        )
        for number in range(3)
    ],
    "short prompts and long texts, long prompts and short texts": [
        *((f"{number} ", {"max_new_tokens": 70}) for number in range(2)),
        *((QUESTIONS[number] * 5, {"max_new_tokens": 4}) for number in range(3)),
    ],
    "one beginning, and others": [
        *((RULES + QUESTIONS[number], {"max_new_tokens": 20}) for number in range(3)),
        *((QUESTIONS[number] * 6, {"max_new_tokens": 20}) for number in range(3)),
    ],
    "beams": [(f"{number} bears read: ", {"num_beams": 4, "max_new_tokens": 40}) for number in range(3)],
    "schemas": [(f"{number}: ", {"constraint": regex("[ab]{50}"), "max_new_tokens": 60}) for number in range(4)],
}


@pytest.mark.parametrize("slack", [0, 8, 30])
@pytest.mark.parametrize("mix", MIXED)
def test_what_fits_alone_is_written_in_a_batch_too_whatever_the_others_take(mix: str, slack: int) -> None:
    host = new_host()
    ends = {} if mix == "schemas" else {"end_ids": list[int]()}
    asked = [(prompt, {**ends, **options}) for prompt, options in MIXED[mix]]
    alone = [host.generate_batch([Request(prompt, cache=SMALL, **options)])[0] for prompt, options in asked]
    most = max(result.trace.cache["peak_bytes"] for result in alone)
    room = most + slack * block_bytes(host)
    paged = {**SMALL, "max_bytes": room}
    results = host.generate_batch([Request(prompt, cache=paged, **options) for prompt, options in asked])
    for result, expected in zip(results, alone, strict=True):
        assert [one.token_ids for one in (result, *result.alternatives)] == [
            one.token_ids for one in (expected, *expected.alternatives)
        ]
        assert result.trace.cache["peak_bytes"] <= room
    assert held(host) == 0


def test_two_runs_at_once_share_the_budget_and_the_one_that_asks_for_more_fails() -> None:
    host = new_host()
    room = 16 * block_bytes(host)
    paged = {**SMALL, "max_bytes": room}
    stream = host.stream("a bear and a moon and a river, ", cache=paged, max_new_tokens=12)
    next(stream)
    with pytest.raises(CacheFull):
        host.generate(RULES, cache=paged, max_new_tokens=2)
    for _ in stream:
        pass
    assert stream.result.token_ids == dense("a bear and a moon and a river, ", 12)
    assert held(host) == 0


def test_threads_share_what_is_known() -> None:
    host = new_host()
    found: dict[str, list[int]] = {}

    def ask(question: str) -> None:
        found[question] = host.generate(RULES + question, cache=SMALL, max_new_tokens=6).token_ids

    threads = [threading.Thread(target=ask, args=[question]) for question in QUESTIONS[:6]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {question: dense(RULES + question) for question in QUESTIONS[:6]}
    assert held(host) == 0


def test_what_is_stopped_in_the_middle_gives_its_blocks_back() -> None:
    host = new_host()
    stream = host.stream(RULES, cache=SMALL, max_new_tokens=20)
    next(stream)
    assert held(host) > 0
    stream.close()
    assert held(host) == 0
    submitted = host.submit(Request(RULES, cache=SMALL, max_new_tokens=200, num_return_sequences=3, strategy="sample"))
    submitted.cancel()
    submitted.result(timeout=60)
    assert held(host) == 0
    host.close()
    assert not host.target.shared


class Reader:
    """Counts the ids that the model computes."""

    name = "reader"

    def __init__(self, whole: bool) -> None:
        self.needs_whole_prompt, self.seen = whole, 0

    def attach(self, model: Any) -> Any:
        @contextlib.contextmanager
        def attached() -> Any:
            hook = model.get_input_embeddings().register_forward_pre_hook(self._count)
            try:
                yield
            finally:
                hook.remove()

        return attached()

    def _count(self, module: Any, args: Any) -> None:
        self.seen += args[0].numel()

    def step(self, step: Any) -> None:
        """Nothing to do."""

    def report(self) -> int:
        return self.seen


@pytest.mark.parametrize("whole", [False, True])
def test_an_inspector_may_want_to_see_every_id_of_the_prompt(whole: bool) -> None:
    host = new_host()
    first = host.generate(RULES, cache=SMALL, max_new_tokens=4)
    result = host.generate(RULES, cache=SMALL, max_new_tokens=4, inspectors=[Reader(whole)])
    assert result.token_ids == first.token_ids
    computed = result.reports["reader"] - 3
    assert (computed == len(result.prompt_ids)) == whole
    assert (result.trace.cache["reused"] == 0) == whole
    assert any("all of the prompt is computed" in note for note in result.trace.notes) == whole


def test_drafters_that_read_hidden_states_have_those_of_the_whole_prompt() -> None:
    host = new_host()
    drafter = HeadDrafts(heads=random_heads(host.model, "recurrent"))
    host.generate(RULES, cache=SMALL, max_new_tokens=4)
    asked = [
        Request(RULES, cache=SMALL, max_new_tokens=9, drafters=[drafter]),
        Request(RULES, cache=SMALL, max_new_tokens=9),
    ]
    heads, plain = host.generate_batch(asked)
    assert heads.token_ids == plain.token_ids == dense(RULES, 9)
    assert heads.trace.cache["reused"] == 0
    assert any("all of the prompt is computed" in note for note in heads.trace.notes)


def test_a_model_that_keeps_its_own_cache_refuses_it() -> None:
    host = Host(family_model("xlstm"), plugins=[])
    with pytest.raises(IncompatibleParts, match="cache 'paged' cannot work with"):
        host.generate([3, 4, 5], cache="paged", max_new_tokens=2)
