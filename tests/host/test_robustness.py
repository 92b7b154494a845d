"""Whatever happens in a request, the host is usable after it."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
import torch

from decodeplug import Host, Request

PROMPT = "The bear reads "


def test_the_same_call_twice_gives_the_same_and_changes_no_argument(host: Host) -> None:
    processors = ["temperature=0.8"]
    request = Request(PROMPT, processors=processors, seed=3, max_new_tokens=10)
    assert host.generate_batch([request])[0].token_ids == host.generate_batch([request])[0].token_ids
    assert processors == ["temperature=0.8"]


def test_threads_that_call_one_host_at_once_each_get_their_own_text(host: Host) -> None:
    prompts = [f"{number} bears " for number in range(6)]
    expected = {prompt: host.generate(prompt, max_new_tokens=15).token_ids for prompt in prompts}
    found: dict[str, list[int]] = {}

    def work(prompt: str) -> None:
        found[prompt] = host.generate(prompt, max_new_tokens=15).token_ids

    threads = [threading.Thread(target=work, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


class Interrupting:
    """A processor during whose third call the user presses Ctrl-C."""

    name = "interrupting"
    stage = 10
    keeps_argmax = False

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, scores: torch.Tensor, seen: Any) -> torch.Tensor:
        self.calls += 1
        if self.calls == 3:
            signal.raise_signal(signal.SIGINT)
        return scores


def test_ctrl_c_leaves_the_host_usable(host: Host) -> None:
    before = host.generate(PROMPT, max_new_tokens=12).token_ids
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            host.generate(PROMPT, max_new_tokens=12, processors=[Interrupting()])
    finally:
        signal.signal(signal.SIGINT, handler)
    assert host.generate(PROMPT, max_new_tokens=12).token_ids == before


def test_an_error_in_the_model_leaves_the_host_usable(host: Host, model: Any) -> None:
    before = host.generate(PROMPT, max_new_tokens=12).token_ids
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("the device is gone")

    hook = model.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="the device is gone"):
        host.generate(PROMPT, max_new_tokens=12)
    hook.remove()
    assert host.generate(PROMPT, max_new_tokens=12).token_ids == before


def test_a_host_leaves_the_model_as_it_was(model: Any, tokenizer: Any) -> None:
    ids = torch.tensor([tokenizer(PROMPT)["input_ids"]], device=model.device)
    before = model.generate(ids, max_new_tokens=10, do_sample=False)
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    own = Host(model, tokenizer, plugins=[])
    own.generate_batch([Request(PROMPT, max_new_tokens=5), Request("x", max_new_tokens=9)])
    assert torch.equal(model.generate(ids, max_new_tokens=10, do_sample=False), before)
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == hooks
