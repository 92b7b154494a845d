"""Requests join a running batch as others leave it, long prompts are fed in pieces, and no text depends on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from decodeplug import BadOption, Host, Request, Result, choice, hookimpl
from decodeplug.testing import Float64Throughout
from decodeplug.testing.families import family_model

KINDS = {"llama": "ragged", "gemma3_text": "ragged", "qwen3_next": "grouped", "mamba": "grouped", "xlstm": "steps"}


def prompt(length: int, first: int = 3) -> list[int]:
    return [first + (7 * place) % 40 for place in range(length)]


def mixed(count: int = 20) -> list[Request]:
    """Requests of which no two are alike: lengths, budgets, seeds, drafters, hypotheses."""
    found = []
    for number in range(count):
        options: dict[str, Any] = {"max_new_tokens": 2 + (5 * number) % 13, "seed": number}
        if number % 3 == 1:
            options["strategy"] = "sample"
        if number % 4 == 2:
            options["drafters"] = ["lookup=min_ngram=1"]
        if number % 7 == 4:
            options |= {"strategy": "sample", "num_return_sequences": 2 + number % 2}
        if number % 9 == 8:
            options["num_beams"] = 2
        found.append(Request(prompt(1 + (11 * number) % 47, 3 + number % 5), **options))
    return found


def texts(result: Result) -> list[list[int]]:
    return [result.token_ids, *(other.token_ids for other in result.alternatives)]


@cache
def alone(family: str) -> list[list[list[int]]]:
    host = Host(family_model(family), plugins=[])
    with Float64Throughout():
        return [texts(host.generate_batch([request])[0]) for request in requests_of(family)]


def requests_of(family: str) -> list[Request]:
    """What a family can do: no lookup where it cannot rewind."""
    rewinds = Host(family_model(family), plugins=[]).target.can_rewind
    return [request for request in mixed() if rewinds or not request.drafters]


@pytest.mark.parametrize("max_batch_tokens", [5, 24, None])
@pytest.mark.parametrize("max_batch", [1, 3, 16])
@pytest.mark.parametrize("family", KINDS)
def test_every_text_is_that_of_its_request_alone(family: str, max_batch: int, max_batch_tokens: int | None) -> None:
    host = Host(family_model(family), plugins=[], max_batch=max_batch, max_batch_tokens=max_batch_tokens)
    assert host.target.path == KINDS[family]
    with Float64Throughout():
        together = host.generate_batch(requests_of(family))
    assert [texts(result) for result in together] == alone(family)


def test_the_texts_differ_so_the_table_compares_something() -> None:
    found = [tuple(text) for result in alone("llama") for text in result]
    assert len(set(found)) > len(found) // 2


class Watch:
    """Notes, turn by turn, what the model is fed."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns: list[list[int]] = []
        plain = host.target.session

        def session(cache: Any = "dense", **options: Any) -> Any:
            opened = plain(cache, **options)
            forward = opened.forward

            def watched(feeds: Any, wants: Any, whole: Any = ()) -> Any:
                self.turns.append([len(feed) for feed in feeds])
                return forward(feeds, wants, whole)

            opened.forward = watched
            return opened

        monkeypatch.setattr(host.target, "session", session)


def test_a_lane_gets_a_token_each_turn_while_a_long_prompt_is_fed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(family_model("llama"), plugins=[], max_batch=2, max_batch_tokens=9)
    assert host.target.feeds_in_pieces()
    watch = Watch(host, monkeypatch)
    short, long = Request(prompt(2), max_new_tokens=12, end_ids=[]), Request(prompt(50), max_new_tokens=2, end_ids=[])
    first, second = host.generate_batch([short, long])
    assert [len(step.tokens) for step in first.trace.steps] == [1] * 12
    assert max(sum(turn) for turn in watch.turns) == 9
    assert watch.turns[:8] == [[2, 7], *[[1, 8]] * 5, [1, 3], [1, 1]]
    assert first.trace.forwards == 12
    assert (second.trace.forwards, second.trace.steps[0].width) == (8, 50)


def test_one_that_finishes_makes_room_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(family_model("llama"), plugins=[], max_batch=2)
    watch = Watch(host, monkeypatch)
    budgets = [2, 5, 3, 1]
    host.generate_batch(
        [Request(prompt(4 + n, 3 + n), max_new_tokens=budget, end_ids=[]) for n, budget in enumerate(budgets)]
    )
    assert watch.turns == [[4, 5], [1, 1], [1, 6], [1, 1], [1, 1], [7]]


def test_hypotheses_count_and_one_with_too_many_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(family_model("llama"), plugins=[], max_batch=3)
    watch = Watch(host, monkeypatch)
    beams = Request(prompt(5), num_beams=4, max_new_tokens=3, end_ids=[])
    single = Request(prompt(6), max_new_tokens=2, end_ids=[])
    host.generate_batch([single, beams, single])
    assert watch.turns == [[6], [1], [5], [1] * 4, [1] * 4, [6], [1]]


def test_the_prompt_of_several_hypotheses_is_fed_once_also_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(family_model("llama"), plugins=[], max_batch_tokens=10)
    assert host.target.feeds_in_pieces()
    watch = Watch(host, monkeypatch)
    host.generate_batch([Request(prompt(25), strategy="sample", seed=1, num_return_sequences=3, max_new_tokens=2)])
    assert [turn for turn in watch.turns if sum(turn)][:4] == [[10], [10], [4], [1, 1, 1]]


def test_what_a_cache_may_take_holds_requests_back(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [Request(prompt(20, 3 + n), max_new_tokens=3, end_ids=[]) for n in range(6)]
    free = Host(family_model("llama"), plugins=[]).generate_batch(requests)
    one = Host(family_model("llama"), plugins=[]).generate_batch(requests[:1])[0].trace.cache["peak_bytes"]
    host = Host(family_model("llama"), plugins=[], max_cache_bytes=2 * one)
    watch = Watch(host, monkeypatch)
    assert [texts(result) for result in host.generate_batch(requests)] == [texts(result) for result in free]
    assert max(map(len, watch.turns)) == 2


@pytest.mark.parametrize("budget", [140, 240])
def test_a_cache_limit_counts_how_long_texts_may_become(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    requests = [Request(prompt(4, 3 + n), max_new_tokens=budget, end_ids=[]) for n in range(4)]
    one = Host(family_model("llama"), plugins=[]).generate_batch(requests[:1])[0].trace.cache["peak_bytes"]
    host = Host(family_model("llama"), plugins=[], max_cache_bytes=3 * one)
    watch = Watch(host, monkeypatch)
    results = host.generate_batch(requests)
    assert max(result.trace.cache["peak_bytes"] for result in results) <= 3 * one
    assert max(map(len, watch.turns)) >= 2, "they are not held back for nothing"


def test_requests_without_a_cache_run_together_under_a_cache_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(family_model("llama"), plugins=[], max_cache_bytes=1)
    watch = Watch(host, monkeypatch)
    host.generate_batch([Request(prompt(4, 3 + n), max_new_tokens=4, end_ids=[], cache="none") for n in range(3)])
    assert max(map(len, watch.turns)) == 3


def test_results_come_as_they_finish_or_in_order() -> None:
    host = Host(family_model("llama"), plugins=[], max_batch=3)
    requests = [Request(prompt(3), max_new_tokens=budget, end_ids=[]) for budget in (9, 2, 4, 1)]
    assert [len(result.token_ids) for result in host.run(requests, ordered=False)] == [2, 1, 4, 9]
    assert [len(result.token_ids) for result in host.run(requests)] == [9, 2, 4, 1]


def test_an_iterable_without_end_is_read_as_there_is_room() -> None:
    host, taken = Host(family_model("llama"), plugins=[], max_batch=4), []

    def endless() -> Iterator[Request]:
        for number in itertools.count():
            taken.append(number)
            yield Request(prompt(3), max_new_tokens=1 + number % 3, end_ids=[])

    results = host.run(endless())
    assert not taken
    for count, _ in enumerate(itertools.islice(results, 20), start=1):
        assert len(taken) <= count + 2 * 4 + 1
    results.close()
    assert len(taken) < 30


def test_where_results_wait_for_a_long_one_no_more_are_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decodeplug.inflow._MOST_WAITING", 5)
    host, taken = Host(family_model("llama"), plugins=[], max_batch=2), []

    def requests() -> Iterator[Request]:
        for number in range(40):
            taken.append(number)
            yield Request(prompt(3), max_new_tokens=1 if number else 60, end_ids=[])

    results = host.run(requests())
    assert len(next(results).token_ids) == 60
    assert len(taken) <= 1 + 5 + 2
    assert [len(result.token_ids) for result in results] == [1] * 39


def test_many_refused_requests_in_a_row_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decodeplug.inflow._MOST_WAITING", 5)
    host = Host(family_model("llama"), plugins=[], max_batch=2)
    bad, good = Request("no tokenizer", max_new_tokens=2), Request(prompt(3), max_new_tokens=2, end_ids=[])
    results = list(host.run([good, *[bad] * 12, good, *[bad] * 12], return_errors=True))
    assert [result.error is None for result in results] == [True, *[False] * 12, True, *[False] * 12]


def test_a_cache_limit_holds_for_prompts_that_are_fed_in_pieces() -> None:
    requests = [Request(prompt(200, 3 + n), max_new_tokens=9, end_ids=[]) for n in range(4)]
    one = Host(family_model("llama"), plugins=[]).generate_batch(requests[:1])[0].trace.cache["peak_bytes"]
    host = Host(family_model("llama"), plugins=[], max_cache_bytes=2 * one, max_batch_tokens=32)
    results = host.generate_batch(requests)
    assert max(result.trace.cache["peak_bytes"] for result in results) <= 2 * one


def test_caches_of_other_kinds_have_batches_of_their_own() -> None:
    host = Host(family_model("llama"), plugins=[])
    caches = ["dense", "none", "none", "dense"]
    requests = [Request(prompt(4 + n), cache=name, max_new_tokens=4) for n, name in enumerate(caches)]
    with Float64Throughout():
        results = list(host.run(requests))
        assert [r.token_ids for r in results] == [host.generate_batch([one])[0].token_ids for one in requests]
    assert [result.trace.cache["name"] for result in results] == caches


def test_what_is_refused_or_breaks_touches_no_other() -> None:
    host = Host(family_model("llama"), plugins=[], max_batch=2)
    good = Request(prompt(3), max_new_tokens=3, end_ids=[])
    bad = Request("no tokenizer, so no text", max_new_tokens=3)
    outcomes = list(host.run([good, bad, good], return_errors=True))
    assert [result.error is None for result in outcomes] == [True, False, True]
    results = host.run(itertools.chain([good, bad], itertools.repeat(good)))
    assert len(next(results).token_ids) == 3
    with pytest.raises(BadOption):
        list(results)
    with pytest.raises(BadOption, match="generate_batch"):
        host.generate_batch([good, 3])  # pyright: ignore[reportArgumentType]
    assert len(host.generate_batch([good])[0].token_ids) == 3


def test_an_error_of_the_iterable_itself_comes_when_the_others_have_finished() -> None:
    def broken() -> Iterator[Request]:
        yield Request(prompt(3), max_new_tokens=3, end_ids=[])
        raise OSError("the file is gone")

    results = Host(family_model("llama"), plugins=[]).run(broken())
    assert len(next(results).token_ids) == 3
    with pytest.raises(OSError, match="gone"):
        next(results)


@pytest.mark.parametrize("limit", ["max_batch", "max_batch_tokens", "max_cache_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_a_limit_that_is_no_number_of_things_is_refused(limit: str, value: object) -> None:
    with pytest.raises(BadOption, match=limit):
        Host(family_model("llama"), plugins=[], **{limit: value})  # pyright: ignore[reportArgumentType]


def test_hooks_hear_of_a_request_when_it_joins(model: Any, tokenizer: Any) -> None:
    heard: list[tuple[str, str]] = []

    class Listener:
        @hookimpl
        def decodeplug_request_started(self, request: Request) -> None:
            heard.append(("started", request.prompt))

        @hookimpl
        def decodeplug_request_finished(self, request: Request, result: Result) -> None:
            heard.append(("finished", request.prompt))

    host = Host(model, tokenizer, plugins=[Listener()], max_batch=1)
    constraint = choice(["a", "the red bear"])
    for _ in host.run(Request(prompt, constraint=constraint) for prompt in ("one ", "two ")):
        pass
    assert heard == [("started", "one "), ("finished", "one "), ("started", "two "), ("finished", "two ")]


class Objecting:
    """A plugin that fails as it is told of a request with this prompt."""

    @hookimpl
    def decodeplug_request_started(self, request: Request) -> None:
        if request.prompt == [7]:
            raise RuntimeError("not this one")


def test_a_request_that_is_over_as_it_joins_is_given_back_while_others_go_on() -> None:
    host = Host(family_model("llama"), None, plugins=[Objecting()])
    long, short = Request([3], max_new_tokens=40, end_ids=[]), Request([7], max_new_tokens=40, end_ids=[])
    results = host.run([long, short], ordered=False, return_errors=True)
    assert [len(result.token_ids) for result in results] == [0, 40]
