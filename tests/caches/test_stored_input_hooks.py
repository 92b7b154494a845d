"""Stored inputs of a model that is changed by hooks: texts are right, or end with an error."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from caches.stored_texts import goes_on_right, held
from torch import Tensor

from decodeplug.errors import IncompatibleParts
from decodeplug.target import Target
from decodeplug.target.modelstate import next_hook, reading
from decodeplug.testing import check_cache, tiny_model


def in_place(part: Any, args: Any, output: Tensor) -> None:
    output.mul_(1.5)


def another(part: Any, args: Any, output: Tensor) -> Tensor:
    return output * 1.5


@pytest.mark.parametrize("how", ["in place", "another", "before ours", "everywhere"])
def test_a_hook_that_comes_while_a_text_is_written_ends_it(how: str) -> None:
    model: Any = tiny_model("gpt2")
    target, part = Target(model), model.transformer.h[0].attn.c_attn
    session = held(target, "stored-input", 9)[0]
    if how == "everywhere":
        handle = torch.nn.modules.module.register_module_forward_hook(lambda *args: None)
    else:
        hook = in_place if how == "in place" else another
        handle = part.register_forward_hook(hook, prepend=how == "before ours")
    try:
        with pytest.raises(IncompatibleParts, match="came while texts were written"):
            session.forward([[7]], [1])
        with pytest.raises(IncompatibleParts, match="no layer of it") if how == "everywhere" else nullcontext():
            target.session("stored-input")  # of the other layers, inputs can be stored
    finally:
        handle.remove()
    goes_on_right(target, session, 9)
    assert held(target, "stored-input", 9)[1] * 2 == held(target, "dense", 9)[1]


def test_a_measurement_that_breaks_off_leaves_texts_and_target_as_they_are() -> None:
    model: Any = tiny_model("gpt2")
    target = Target(model)
    session = held(target, "stored-input", 9)[0]

    def fail(*args: Any) -> None:
        raise RuntimeError("no more")

    handle = model.transformer.h[1].ln_1.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no more"):
        target.session("stored-input")
    handle.remove()
    for one in (session, held(target, "stored-input", 9)[0]):
        goes_on_right(target, one, 9)


@dataclass
class Recorder:
    """A hook without a hash."""

    calls: int = 0

    def __call__(self, *args: Any) -> None:
        self.calls += 1


@pytest.mark.parametrize("cache", ["stored-input", "paged"])
def test_hooks_need_no_hash(cache: str) -> None:
    model: Any = tiny_model("gpt2")
    recorder = Recorder()
    model.transformer.h[1].mlp.register_forward_hook(recorder)
    check_cache(lambda: Target(model).session(cache), model, steps=3, vocab=200)
    assert recorder.calls


def test_hooks_of_inspectors_only_read() -> None:
    model: Any = tiny_model("gpt2")
    target = Target(model)
    session = held(target, "stored-input", 9)[0]
    first, recorder = next_hook(), Recorder()
    handle = model.transformer.h[0].attn.c_attn.register_forward_hook(recorder)
    with reading(first):
        session.forward([[7]], [1])
    handle.remove()
    assert recorder.calls == 1
