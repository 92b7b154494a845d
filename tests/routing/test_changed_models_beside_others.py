"""A model that is changed for one request while others run it, from other threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from decodeplug import Host
from decodeplug.testing import byte_tokenizer

PROMPT = "Once upon a time there was"


@pytest.mark.parametrize("intervention", ["moe-top-k=1", "moe-temperature=9.0"])
def test_others_who_run_the_model_meanwhile_are_not_changed(model: Any, intervention: str) -> None:
    """Another host in another thread, and one that calls the model itself while a routing is inspected."""
    wanted = Host(model, byte_tokenizer(), plugins=[]).generate(PROMPT, max_new_tokens=8).token_ids
    texts, stacks, stop = list[Any](), list[int](), threading.Event()

    def others() -> None:
        with Host(model, byte_tokenizer(), plugins=[]) as other:
            while not stop.is_set():
                texts.append(other.generate(PROMPT, max_new_tokens=8).token_ids)
        stacks.append(torch._C._len_torch_function_stack())

    with Host(model, byte_tokenizer(), plugins=[]) as host:
        alone = host.generate(PROMPT, max_new_tokens=8, interventions=[intervention], inspectors=["moe-routing"])
        thread = threading.Thread(target=others)
        thread.start()
        beside = [
            host.generate(PROMPT, max_new_tokens=8, interventions=[intervention], inspectors=["moe-routing"])
            for _ in range(12)
        ]
        stop.set()
        thread.join()
    assert texts
    assert all(text == wanted for text in texts)
    assert stacks == [0]
    for one in beside:
        assert one.token_ids == alone.token_ids
        assert torch.equal(one.reports["moe-routing"].experts, alone.reports["moe-routing"].experts)


def test_who_calls_the_model_meanwhile_is_not_in_the_report(model: Any) -> None:
    stop = threading.Event()

    def calls() -> None:
        with torch.no_grad():
            while not stop.is_set():
                model(torch.tensor([[5]], device=model.device), use_cache=False)

    with Host(model, byte_tokenizer(), plugins=[]) as host:
        alone = host.generate(PROMPT, max_new_tokens=8, inspectors=["moe-routing"]).reports["moe-routing"]
        thread = threading.Thread(target=calls)
        thread.start()
        every = [host.generate(PROMPT, max_new_tokens=8, inspectors=["moe-routing"]) for _ in range(8)]
        stop.set()
        thread.join()
    assert all(torch.equal(one.reports["moe-routing"].experts, alone.experts) for one in every)
