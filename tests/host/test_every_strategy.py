"""Every strategy streams, keeps budget and stop strings, ends when it is told to, and leaves the host as it was."""

from __future__ import annotations

from typing import Any

import pytest
from heads.guessing import random_heads

from decodeplug import Host, Request, Result, json_schema
from decodeplug.discovery import Plugins
from decodeplug.drafters import HeadDrafts
from decodeplug.testing import like

PROMPT = "The bear reads "
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sample": {"processors": ["temperature=0.9", "top-p=0.95"]},
    "beam": {"num_beams": 3, "num_return_sequences": 3},
    "speculative": {"drafters": ["assistant=num_tokens=3"]},
    "mtp": {},
    "self-consistency": {"n": 3, "answer": "[a-z]", "weights": "likelihood"},
    "best-of-n": {"n": 3},
}
DECIDES = ("self-consistency", "best-of-n")
BUDGET = 24


@pytest.fixture(params=OPTIONS)
def strategy(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def options(strategy: str, model: Any) -> dict[str, Any]:
    """What a request of this strategy has."""
    options = {"strategy": strategy, "seed": 5, "max_new_tokens": BUDGET, "end_ids": [], **OPTIONS[strategy]}
    if strategy == "speculative":
        options["assistant"] = like(model, strength=0.3)
    if strategy == "mtp":
        options["drafters"] = [HeadDrafts(heads=random_heads(model, "recurrent"), num_tokens=3)]
    return options


def test_the_table_has_every_strategy() -> None:
    assert set(OPTIONS) == set(Plugins.load("none").registry.names("strategy"))


def test_a_stream_is_the_text_piece_by_piece(host: Host, strategy: str, options: dict[str, Any]) -> None:
    whole, stream = host.generate(PROMPT, **options), host.stream(PROMPT, **options)
    chunks = list(stream)
    drafted = any(step.drafted for step in stream.result.trace.steps)
    assert drafted == (strategy in ("speculative", "mtp")), "else its row here would be that of greedy"
    assert "".join(chunk.text for chunk in chunks) == stream.result.text == whole.text
    assert [token for chunk in chunks for token in chunk.token_ids] == stream.result.token_ids == whole.token_ids
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [whole.finish_reason]
    assert len(chunks) == 1 if strategy in DECIDES else sum(bool(chunk.token_ids) for chunk in chunks) > 2


def test_the_budget_is_kept(host: Host, options: dict[str, Any]) -> None:
    for budget in (1, 2, 7):
        result = host.generate(PROMPT, **{**options, "max_new_tokens": budget})
        assert result.finish_reason == "length"
        assert [len(text.token_ids) for text in (result, *result.alternatives)] == [budget] * (
            1 + len(result.alternatives)
        )


def test_a_stop_string_ends_the_text_before_it(host: Host, strategy: str, options: dict[str, Any]) -> None:
    """Beams that end go out of the search, and votes and ranks change: only single texts are cut where they were."""
    whole = host.generate(PROMPT, **options).text
    stop = whole[5:6] if strategy in ("beam", *DECIDES) else whole[5:8]
    result = host.generate(PROMPT, **options, stop=[stop])
    texts = [result, *result.alternatives]
    assert all(stop not in text.text for text in texts)
    if strategy in ("beam", *DECIDES):
        assert "stop" in [text.finish_reason for text in texts]
    else:
        assert (result.text, result.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_what_is_cancelled_ends_with_what_it_has_and_others_go_on(
    host: Host, strategy: str, options: dict[str, Any], model: Any
) -> None:
    before = host.generate(PROMPT, **options)
    stream = host.stream(PROMPT, **{**options, "max_new_tokens": 200})
    if strategy not in DECIDES:
        next(stream)
    stream.cancel()
    assert stream.result.finish_reason == "cancelled"
    assert len(stream.result.token_ids) < 200
    with host.stream(PROMPT, **{**options, "max_new_tokens": 200}):
        pass  # closed before anything was read
    assert not model.get_decoder()._forward_hooks
    assert host.generate(PROMPT, **options).token_ids == before.token_ids


def test_one_that_is_submitted_can_be_cancelled_beside_others(host: Host, options: dict[str, Any]) -> None:
    long, short = {**options, "max_new_tokens": 400}, {"max_new_tokens": 12, "end_ids": []}
    endless = host.submit(Request(PROMPT, **long))
    others = [host.submit(Request(f"{row} ", **short)) for row in range(3)]
    endless.cancel()
    assert endless.result(timeout=60).finish_reason == "cancelled"
    for row, other in enumerate(others):
        assert other.result(timeout=60).token_ids == host.generate(f"{row} ", **short).token_ids


def test_time_that_is_up_ends_the_text(host: Host, options: dict[str, Any]) -> None:
    result = host.generate(PROMPT, **{**options, "max_new_tokens": 400}, timeout_s=1e-9)
    assert result.finish_reason == "timeout"
    assert len(result.token_ids) < 400


def test_a_constraint_holds_in_every_text(host: Host, options: dict[str, Any]) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}
    needs = {key: value for key, value in options.items() if key not in ("answer", "end_ids")}
    result: Result = host.generate(PROMPT, **needs, constraint=json_schema(schema))
    for text in (result, *result.alternatives):
        assert isinstance(text.value, list)
        assert 1 <= len(text.value) <= 3
