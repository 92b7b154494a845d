"""Submitted requests run in the background, together, and are read by threads and tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
import torch

from decodeplug import BadOption, Cancelled, Host, PluginError, Request, Result, json_schema
from decodeplug.values import Seen, Stage

SAMPLED: dict[str, Any] = {"strategy": "sample", "max_new_tokens": 12}


class Breaks:
    """A processor that fails after a few tokens."""

    stage: ClassVar[Stage] = Stage.HARD
    keeps_argmax: ClassVar[bool] = True

    def __call__(self, scores: torch.Tensor, seen: Seen) -> torch.Tensor:
        if len(seen.ids[0]) > 8:
            raise ValueError("enough")
        return scores


@pytest.fixture
def own(model: Any, tokenizer: Any) -> Any:
    with Host(model, tokenizer, plugins=[], max_batch=4) as host:
        yield host


def endless(own: Host, **options: Any) -> Any:
    """A request that goes on for long."""
    return own.submit(Request("The bear ", end_ids=[], max_new_tokens=400, **options))


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.002)


def requests(count: int) -> list[Request]:
    return [Request(f"Once {number} bears ", seed=number, **SAMPLED) for number in range(count)]


def test_each_gets_what_it_would_get_alone(own: Host) -> None:
    submitted = [own.submit(request) for request in requests(9)]
    found = [handle.result(timeout=60).token_ids for handle in submitted]
    assert found == [own.generate_batch([request])[0].token_ids for request in requests(9)]
    assert all(handle.done() for handle in submitted)


def test_chunks_are_the_text_and_are_there_for_every_reader(own: Host) -> None:
    handle = own.submit(Request("A book ", constraint=json_schema({"enum": ["red", "blue"]}), max_new_tokens=20))
    first, second = list(handle), list(handle)
    assert first == second
    assert "".join(chunk.text for chunk in first) == handle.result().text
    assert [token for chunk in first for token in chunk.token_ids] == handle.result().token_ids
    assert [chunk.finish_reason for chunk in first[:-1]] == [None] * (len(first) - 1)
    assert first[-1].finish_reason == "stop"


def test_a_request_joins_those_that_run(own: Host) -> None:
    long = endless(own)
    next(iter(long))
    short = own.submit(Request("A book ", end_ids=[], max_new_tokens=3))
    assert len(short.result(timeout=60).token_ids) == 3
    assert not long.done()
    long.cancel()
    assert long.result(timeout=60).finish_reason == "cancelled"


def test_threads_submit_generate_and_stream_beside_one_another(own: Host) -> None:
    def one(number: int) -> Result:
        request = requests(12)[number]
        if number % 3 == 0:
            return own.generate_batch([request])[0]
        return (
            own.submit(request).result(timeout=60)
            if number % 3 == 1
            else own.stream(request.prompt, seed=number, **SAMPLED).result
        )

    with ThreadPoolExecutor(6) as pool:
        found = [result.token_ids for result in pool.map(one, range(12))]
    assert found == [own.generate_batch([request])[0].token_ids for request in requests(12)]


def test_tasks_await_and_iterate(own: Host) -> None:
    async def read(number: int) -> tuple[list[int], str]:
        handle = own.submit(requests(6)[number])
        text = "".join([chunk.text async for chunk in handle])
        return (await handle).token_ids, text

    async def everything() -> list[tuple[list[int], str]]:
        return await asyncio.gather(*map(read, range(6)))

    expected = [own.generate_batch([request])[0] for request in requests(6)]
    assert asyncio.run(everything()) == [(result.token_ids, result.text) for result in expected]


def test_a_task_that_stops_waiting_ends_no_request(own: Host) -> None:
    async def impatient() -> Any:
        handle = own.submit(requests(1)[0])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle, 1e-9)
        return handle

    assert len(asyncio.run(impatient()).result(timeout=60).token_ids) > 0


def test_a_request_that_waits_can_be_cancelled(own: Host) -> None:
    running = [endless(own, seed=number) for number in range(4)]
    waiting = endless(own)
    waiting.cancel()
    running[0].cancel()
    assert waiting.result(timeout=60).token_ids == []
    assert waiting.result().finish_reason == "cancelled"
    assert len(running[0].result(timeout=60).token_ids) < 400
    for handle in running:
        handle.cancel()


def test_a_result_that_is_not_there_yet_is_a_timeout_and_the_request_goes_on(own: Host) -> None:
    handle = endless(own)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.01)
    assert not handle.done()
    handle.cancel()
    assert handle.result(timeout=60).finish_reason == "cancelled"


def test_what_is_refused_is_refused_when_it_is_submitted(own: Host) -> None:
    with pytest.raises(BadOption, match="submit"):
        own.submit("text")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadOption, match="logprobs"):
        own.submit(Request("x", logprobs=10**6))


def test_one_that_fails_touches_no_other(own: Host) -> None:
    good, bad = requests(2)
    broken = own.submit(Request(bad.prompt, processors=[Breaks()], max_new_tokens=12, end_ids=[]))
    fine = own.submit(good)
    with pytest.raises(PluginError, match="enough"):
        broken.result(timeout=60)
    with pytest.raises(PluginError, match="enough"):
        list(broken)
    assert fine.result(timeout=60).token_ids == own.generate_batch([good])[0].token_ids


def test_a_model_that_fails_ends_what_runs_and_the_host_is_usable_again(own: Host) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("out of memory")

    handle = endless(own)
    next(iter(handle))
    hook = own.model.register_forward_pre_hook(fails)
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            handle.result(timeout=60)
    finally:
        hook.remove()
    assert len(own.submit(requests(1)[0]).result(timeout=60).token_ids) > 0


def test_closing_the_host_ends_what_runs_and_what_waits(own: Host) -> None:
    handles = [endless(own, seed=number) for number in range(6)]
    next(iter(handles[0]))
    own.close()
    for handle in handles:
        with pytest.raises(Cancelled):
            handle.result(timeout=60)
    with pytest.raises(BadOption, match="closed"):
        own.submit(requests(1)[0])


def test_the_thread_is_there_only_while_there_is_something_to_do(own: Host) -> None:
    def ours() -> int:
        return sum(thread.name == "decodeplug" for thread in threading.enumerate())

    before = ours()
    handle = endless(own)
    assert ours() == before + 1
    handle.cancel()
    wait_for(lambda: ours() == before)
