"""The laws that need a host: drafters change no text, inspectors leave nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch

from decodeplug import Host
from decodeplug.testing import byte_tokenizer, check_drafter_changes_nothing, check_inspector, tiny_model
from decodeplug.values import Draft, LaneView


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host(tiny_model(), byte_tokenizer()) as host:
        yield host


class Guesses:
    """Sound: a guess, mostly wrong."""

    name: ClassVar[str] = "guesses"
    prior: ClassVar[float] = 0.9

    def draft(self, lane: LaneView, room: int) -> Draft:
        count = min(room, 3)
        return Draft(tuple((lane.ids[-1] * 7 + step) % 256 for step in range(count)), (self.name,) * count)


class Counts:
    """Sound: counts the steps, and the calls of the model."""

    name: ClassVar[str] = "counts"

    def __init__(self) -> None:
        self.steps = self.calls = 0

    @contextlib.contextmanager
    def attach(self, model: Any) -> Iterator[None]:
        handle = model.register_forward_hook(self.count)
        try:
            yield
        finally:
            handle.remove()

    def count(self, *_: Any) -> None:
        self.calls += 1

    def step(self, step: Any) -> None:
        self.steps += 1

    def report(self) -> Any:
        return {"steps": self.steps, "calls": self.calls}


class LeavesItsHook(Counts):
    @contextlib.contextmanager
    def attach(self, model: Any) -> Iterator[None]:
        model.register_forward_hook(self.count)
        yield


class LeavesItsHookIfTheRunFails(Counts):
    @contextlib.contextmanager
    def attach(self, model: Any) -> Iterator[None]:
        handle = model.register_forward_hook(self.count)
        yield
        handle.remove()


class SwallowsExceptions(Counts):
    @contextlib.contextmanager
    def attach(self, model: Any) -> Iterator[None]:
        with contextlib.suppress(BaseException):
            yield


class ChangesLogits(Counts):
    def count(self, module: Any, given: Any, output: Any) -> Any:
        output.logits = -output.logits
        return output


class ChangesWeights(Counts):
    def count(self, module: Any, *_: Any) -> None:
        with torch.no_grad():
            module.get_output_embeddings().weight.mul_(1.0)


class ChangesTheConfiguration(Counts):
    def count(self, module: Any, *_: Any) -> None:
        module.config.output_hidden_states = True


class Nameless(Counts):
    name: ClassVar[Any] = None


@pytest.mark.parametrize("drafter", [Guesses, Guesses(), "lookup"])
def test_a_sound_drafter_changes_nothing(host: Host, drafter: Any) -> None:
    check_drafter_changes_nothing(host, drafter, ["ab ab ab ", "{"], max_new_tokens=20, seeds=[1])


def test_a_drafter_that_changes_the_text_is_found(host: Host) -> None:
    class Deceives:
        """A host whose drafters are believed: what a wrong selector would do."""

        def generate(self, prompt: Any, *, drafters: list[Any], **options: Any) -> Any:
            return host.generate(prompt + "!" if drafters else prompt, drafters=[], **options)

    with pytest.raises(AssertionError, match="changes the text of 'ab ', greedy: "):
        check_drafter_changes_nothing(Deceives(), Guesses, ["ab "], max_new_tokens=10, seeds=[1])


def test_a_sound_inspector_passes(host: Host) -> None:
    check_inspector(Counts, host)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (LeavesItsHook, "left something behind after a run: _forward_hooks"),
        (LeavesItsHookIfTheRunFails, "left something behind after a run that failed: _forward_hooks"),
        (SwallowsExceptions, "swallowed an exception"),
        (ChangesLogits, "changes the text of"),
        (ChangesWeights, "left something behind .*: parameter"),
        (ChangesTheConfiguration, "left something behind .*: the configuration"),
        (Nameless, "does not declare its name"),
    ],
)
def test_a_broken_inspector_is_named(broken: type[Counts], says: str) -> None:
    with (
        Host(tiny_model(), byte_tokenizer()) as own,
        pytest.raises(AssertionError, match=says),
    ):
        check_inspector(broken, own)
