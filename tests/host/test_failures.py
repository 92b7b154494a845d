"""A part that fails is named, its request fails, and the others of the batch go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from pydantic import BaseModel, field_validator

from decodeplug import Host, Request, hookimpl, regex
from decodeplug.errors import BadOption, Cancelled, DecodeplugError, InvalidResult, PluginError
from decodeplug.plugin import Draft, Stage
from decodeplug.testing import bpe_tokenizer, tiny_model

PROMPT = "The bear "


class FailingDrafter:
    name, prior = "failing-drafter", 0.9

    def draft(self, lane: Any, room: int) -> Draft:
        raise RuntimeError("no ink")


class StrangeDrafter(FailingDrafter):
    name = "strange-drafter"

    def draft(self, lane: Any, room: int) -> Draft:
        return Draft((10**9,), (self.name,))


class GreedyDrafter(FailingDrafter):
    """Tries to write into the text itself."""

    name = "greedy-drafter"

    def draft(self, lane: Any, room: int) -> Draft:
        with contextlib.suppress(AttributeError):
            lane.ids.append(7)
        return Draft()


class FailingInspector:
    name = "failing-inspector"

    def __init__(self, call: str) -> None:
        self.call = call

    @contextlib.contextmanager
    def attach(self, model: Any) -> Iterator[None]:
        if self.call == "attach":
            raise RuntimeError("no ink")
        yield
        if self.call == "detach":
            raise RuntimeError("no ink")

    def step(self, step: Any) -> None:
        if self.call == "step":
            raise RuntimeError("no ink")

    def report(self) -> Any:
        if self.call == "report":
            raise RuntimeError("no ink")


@dataclass(frozen=True)
class Holding:
    """A processor that holds a tensor: comparing two of them has no plain answer."""

    values: torch.Tensor
    name = "holding"
    stage = Stage.PENALTY
    keeps_argmax = False

    def __call__(self, scores: torch.Tensor, seen: Any) -> torch.Tensor:
        return scores + self.values


@dataclass(frozen=True)
class GivesNaN(Holding):
    name = "gives-nan"

    def __call__(self, scores: torch.Tensor, seen: Any) -> torch.Tensor:
        return torch.full_like(scores, torch.nan)


def failing_criterion(ids: torch.Tensor, scores: Any) -> bool:
    raise RuntimeError("no ink")


class NarrowDrafter:
    """Draws from a distribution over another vocabulary."""

    name = "narrow-drafter"
    prior = 0.9

    def draft(self, lane: Any, room: int) -> Draft:
        return Draft((1,), (self.name,), (torch.full((7,), 1 / 7),))


class Refusing(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def look_up(cls, value: str) -> str:
        raise KeyError("no ink")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"drafters": [FailingDrafter()]}, "failing-drafter"),
        ({"drafters": [StrangeDrafter()]}, "strange-drafter|chain"),
        ({"drafters": [NarrowDrafter()], "do_sample": True, "acceptance": "rejection"}, "narrow-drafter"),
        ({"inspectors": [FailingInspector("attach")]}, "failing-inspector"),
        ({"inspectors": [FailingInspector("detach")]}, "failing-inspector"),
        ({"inspectors": [FailingInspector("step")]}, "failing-inspector"),
        ({"inspectors": [FailingInspector("report")]}, "failing-inspector"),
        ({"processors": [GivesNaN(torch.zeros(1))]}, "gives-nan"),
        ({"stopping_criteria": [failing_criterion]}, "no ink"),
    ],
    ids=["drafter", "foreign ids", "foreign law", "attach", "detach", "step", "report", "NaN", "criterion"],
)
def test_a_failing_part_is_named_and_the_others_go_on(host: Host, options: dict[str, Any], names: str) -> None:
    requests = [
        Request(PROMPT, max_new_tokens=6),
        Request(PROMPT, max_new_tokens=6, **options),
        Request("x", max_new_tokens=6),
    ]
    first, failed, last = host.generate_batch(requests, return_errors=True)
    assert first.token_ids == host.generate(PROMPT, max_new_tokens=6).token_ids
    assert last.token_ids == host.generate("x", max_new_tokens=6).token_ids
    assert failed.finish_reason == "error"
    assert isinstance(failed.error, PluginError)
    with pytest.raises(PluginError, match=names):
        raise failed.error


class FailsWhen:
    """A constraint spec that fails at one place."""

    kind = "failing"

    def __init__(self, place: str) -> None:
        self.place = place

    def key(self) -> str:
        return self.place

    def compile(self, vocabulary: Any) -> Any:
        if self.place == "compile":
            raise RuntimeError("no ink")
        return self

    def start(self) -> Any:
        raise RuntimeError("no ink")

    def value(self, text: str) -> str:
        return text


@pytest.mark.parametrize("place", ["compile", "start"])
def test_a_constraint_that_fails_before_the_first_token_is_named(host: Host, place: str) -> None:
    rows = [Request(PROMPT, max_new_tokens=3), Request(PROMPT, max_new_tokens=3, constraint=FailsWhen(place))]
    good, failed = host.generate_batch(rows, return_errors=True)
    assert good.error is None
    assert isinstance(failed.error, PluginError)
    assert place in str(failed.error)
    assert "no ink" in str(failed.error)


def test_a_validator_that_fails_fails_its_own_request_only(host: Host) -> None:
    requests = [
        Request(PROMPT, max_new_tokens=4),
        Request(PROMPT, constraint=Refusing, strategy="sample", seed=3, max_new_tokens=150, stop=[]),
    ]
    for seed in range(40):
        rows = [requests[0], Request(PROMPT, **{**requests[1].options, "seed": seed})]
        good, failed = host.generate_batch(rows, return_errors=True)
        assert good.error is None
        if failed.error is not None:
            assert isinstance(failed.error, InvalidResult | PluginError)
            assert "no ink" in str(failed.error)
            return
    pytest.fail("no text was finished, so no validator was asked")


def test_processors_that_cannot_be_compared_share_a_batch(host: Host) -> None:
    width = host.target.vocab_size
    rows = [
        Request(PROMPT, max_new_tokens=5, processors=[Holding(torch.randn(width, device=host.target.device))])
        for _ in range(2)
    ]
    assert [r.token_ids for r in host.generate_batch(rows)] == [host.generate_batch([q])[0].token_ids for q in rows]


def test_a_drafter_cannot_write_into_the_text(host: Host) -> None:
    plain = host.generate(PROMPT, max_new_tokens=6).token_ids
    assert host.generate(PROMPT, max_new_tokens=6, drafters=[GreedyDrafter()]).token_ids == plain


@pytest.mark.parametrize(
    "processors", [["temperature=0.5"], ["repetition-penalty=1.5"], ['bias={"5": 2.0}'], ["top-k=4"]]
)
def test_log_probabilities_are_after_processors_however_they_are_asked_for(host: Host, processors: list[str]) -> None:
    options: dict[str, Any] = {"processors": processors, "do_sample": False, "max_new_tokens": 4}
    asked = host.generate(PROMPT, logprobs=True, **options).logprobs
    assert host.generate(PROMPT, **options).logprobs == pytest.approx(asked, abs=1e-5)


def test_a_cold_temperature_has_one_outcome_and_says_so(host: Host) -> None:
    with pytest.raises(BadOption, match="num_return_sequences"):
        host.generate(PROMPT, num_return_sequences=3, do_sample=True, processors=["temperature=0"], max_new_tokens=3)


def test_a_generation_config_that_samples_samples() -> None:
    tokenizer = bpe_tokenizer()
    model = tiny_model(vocab=len(tokenizer))
    model.generation_config.update(do_sample=True)
    host = Host(model, tokenizer, plugins=[], use_generation_config=True)
    assert len({host.generate(PROMPT, seed=seed, max_new_tokens=12).text for seed in range(3)}) == 3
    greedy = Host(model, tokenizer, plugins=[]).generate(PROMPT, max_new_tokens=8).token_ids
    assert host.generate(PROMPT, strategy="greedy", max_new_tokens=8).token_ids == greedy


def test_end_ids_of_a_request_win_over_the_model(host: Host) -> None:
    free = host.generate(PROMPT, max_new_tokens=10).token_ids
    ended = host.generate(PROMPT, max_new_tokens=10, end_ids=[free[4]])
    assert ended.finish_reason == "stop"
    assert ended.token_ids == free[: free.index(free[4]) + 1]


def test_a_cancelled_stream_keeps_what_it_has(host: Host) -> None:
    stream = host.stream(PROMPT, max_new_tokens=50)
    next(stream)
    stream.cancel()
    assert stream.result.finish_reason == "cancelled"
    assert 1 <= len(stream.result.token_ids) <= 3


def test_a_closed_stream_has_no_result_and_a_closed_host_says_so(model: Any, tokenizer: Any) -> None:
    host = Host(model, tokenizer, plugins=[])
    stream = host.stream(PROMPT, max_new_tokens=50)
    next(stream)
    stream.close()
    with pytest.raises(Cancelled):
        _ = stream.result
    host.close()
    with pytest.raises(BadOption, match="not closed"):
        host.generate(PROMPT, constraint=regex("a"), max_new_tokens=3)


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def decodeplug_request_started(self) -> None:
        self.heard.append("started")

    @hookimpl
    def decodeplug_request_finished(self) -> None:
        self.heard.append("finished")

    @hookimpl
    def decodeplug_request_failed(self, error: Exception) -> None:
        assert isinstance(error, DecodeplugError | RuntimeError)
        self.heard.append("failed")


def test_a_request_that_started_has_an_end_whatever_happens(model: Any, tokenizer: Any) -> None:
    listener = Listener()
    host = Host(model, tokenizer, plugins=[listener])
    host.generate(PROMPT, max_new_tokens=2)
    with host.stream(PROMPT, max_new_tokens=20) as stream:
        next(stream)
    hook = model.register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("gone")))
    with pytest.raises(RuntimeError, match="gone"):
        host.generate(PROMPT, max_new_tokens=2)
    hook.remove()
    assert listener.heard == ["started", "finished", "started", "failed", "started", "failed"]
