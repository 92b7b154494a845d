"""A plugin of somebody else's at work: its parts decode, its hooks hear, and its failures stay its own."""

from __future__ import annotations

import types
from typing import Any

import pytest

from decodeplug import Host, PluginError, Request
from decodeplug.errors import Cancelled, DecodeplugError
from decodeplug.hookspecs import hookimpl
from decodeplug.testing import tiny_model

PROMPTS = ([5, 6, 7, 5, 6], [9, 8], [3, 3, 3, 3])
OPTIONS: dict[str, Any] = {"max_new_tokens": 12, "seed": 3}


class Doorkeeper:
    """Raises at one event, for requests that say so (and at every step)."""

    def __init__(self, event: str, error: Exception) -> None:
        self.event, self.error = event, error

    def _raise_at(self, event: str) -> None:
        if event == self.event:
            raise self.error

    @hookimpl
    def decodeplug_request_started(self, request: Request) -> None:
        if list(request.prompt) == PROMPTS[1]:
            self._raise_at("started")

    @hookimpl
    def decodeplug_step(self) -> None:
        self._raise_at("step")

    @hookimpl
    def decodeplug_request_finished(self, request: Request) -> None:
        if list(request.prompt) == PROMPTS[1]:
            self._raise_at("finished")


def requests() -> list[Request]:
    return [Request(prompt, **OPTIONS) for prompt in PROMPTS]


def test_events_are_heard_in_order(echo: types.ModuleType) -> None:
    listener = echo.Listener()
    host = Host(tiny_model(), plugins=[listener])
    result = host.generate(PROMPTS[0], **OPTIONS)
    events = [event for event, _ in listener.heard]
    assert events == ["host_ready", "request_started", *["step"] * len(result.trace.steps), "request_finished"]
    assert [value for event, value in listener.heard if event == "step"] == result.trace.steps
    assert listener.heard[-1][1] is result


def test_every_row_of_a_batch_is_announced(echo: types.ModuleType) -> None:
    listener = echo.Listener()
    Host(tiny_model(), plugins=[listener]).generate_batch(requests())
    events = [event for event, _ in listener.heard]
    assert events.count("request_started") == events.count("request_finished") == len(PROMPTS)


@pytest.mark.parametrize("do_sample", [False, True])
def test_a_drafter_of_somebody_elses_changes_no_token(echo: types.ModuleType, do_sample: bool) -> None:
    host = Host(tiny_model(), plugins=[echo])
    options = {**OPTIONS, "do_sample": do_sample, "processors": ["echo=3.0"]}
    plain = host.generate(PROMPTS[0], drafters=[], **options)
    drafted = host.generate(PROMPTS[0], drafters=["echo=3"], **options)
    assert drafted.token_ids == plain.token_ids
    assert "echo" in drafted.trace.drafters
    assert "echo" in drafted.trace.processors


def test_a_processor_of_somebody_elses_is_in_effect(echo: types.ModuleType) -> None:
    host = Host(tiny_model(), plugins=[echo])
    result = host.generate(PROMPTS[2], processors=["echo=1000"], **OPTIONS)
    assert set(result.token_ids) == {3}


@pytest.mark.parametrize("event", ["started", "finished"])
def test_a_plugin_refuses_one_request_and_the_others_go_on(event: str) -> None:
    refusal = Cancelled("the quota is used up")
    host = Host(tiny_model(), plugins=[Doorkeeper(event, refusal)])
    results = host.generate_batch(requests(), return_errors=True)
    assert [result.error for result in results] == [None, refusal, None]
    alone = Host(tiny_model(), plugins=[]).generate_batch(requests())
    assert [results[row].token_ids for row in (0, 2)] == [alone[row].token_ids for row in (0, 2)]


@pytest.mark.parametrize("event", ["started", "step", "finished"])
def test_a_plugin_that_breaks_is_named_and_the_host_works_on(event: str) -> None:
    keeper = Doorkeeper(event, RuntimeError("no such luck"))
    host = Host(tiny_model(), plugins=[keeper])
    with pytest.raises(PluginError, match=r"Doorkeeper failed in decodeplug_\w+: RuntimeError: no such luck"):
        host.generate(PROMPTS[1], **OPTIONS)
    keeper.event = "never"
    assert host.generate(PROMPTS[1], **OPTIONS).error is None


def test_a_failure_is_announced_with_the_error_that_the_caller_gets(echo: types.ModuleType) -> None:
    listener, refusal = echo.Listener(), Cancelled("the quota is used up")
    host = Host(tiny_model(), plugins=[listener, Doorkeeper("started", refusal)])
    with pytest.raises(DecodeplugError) as caught:
        host.generate(PROMPTS[1], **OPTIONS)
    assert listener.heard[-1] == ("request_failed", caught.value)


def test_a_host_that_a_plugin_refuses_is_not_built() -> None:
    class Refuses:
        @hookimpl
        def decodeplug_host_ready(self) -> None:
            raise RuntimeError("not on my watch")

    with pytest.raises(PluginError, match="Refuses failed in decodeplug_host_ready: RuntimeError: not on my watch"):
        Host(tiny_model(), plugins=[Refuses()])
