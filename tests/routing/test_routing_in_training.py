"""Routing while a model is trained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from routing.recomputed import mixtral_routing
from transformers import Trainer, TrainerState, TrainingArguments

from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.routing.training import RoutingCallback, RoutingWatch
from decodeplug.testing import tiny_model
from decodeplug.testing.laws_inspectors import traces


def test_a_watch_sees_what_the_model_does_and_leaves_nothing(model: Any) -> None:
    before = traces(model)
    ids = torch.tensor([[5, 9, 200, 31, 7], [80, 81, 82, 256, 256]], device=model.device)
    mask = torch.tensor([[1] * 5, [1] * 3 + [0] * 2], device=model.device)
    watch = RoutingWatch(model)
    with watch:
        model(input_ids=ids, attention_mask=mask, use_cache=False).logits.sum().backward()
    model.zero_grad()
    routing = watch.routing()
    assert routing is not None
    assert routing.token_ids.tolist() == [5, 9, 200, 31, 7, 80, 81, 82]
    for ids_of_one, some in (([5, 9, 200, 31, 7], slice(0, 5)), ([80, 81, 82], slice(5, 8))):
        experts, _, probs = mixtral_routing(model, ids_of_one)
        assert torch.equal(routing.experts[some], experts)
        torch.testing.assert_close(routing.probs[some].double(), probs, rtol=0, atol=1e-10)
    assert not routing.probs.requires_grad
    assert watch.routing() is None
    assert traces(model) == before


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 24

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(0, 250, (12,), generator=torch.Generator().manual_seed(place))
        return {"input_ids": ids, "labels": ids}


def trained(model: Any, folder: Path, *callbacks: Any) -> Any:
    args = TrainingArguments(
        str(folder), max_steps=6, per_device_train_batch_size=2, logging_steps=2, save_strategy="no", report_to=[],
        use_cpu=True, disable_tqdm=True, seed=1, learning_rate=1e-3,
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, train_dataset=Rows(), callbacks=list(callbacks))
    trainer.train()
    return trainer


@pytest.mark.filterwarnings("default")
def test_a_trainer_logs_the_measures_and_learns_the_same(tmp_path: Path) -> None:
    model = tiny_model("mixtral", dtype=torch.float32).cpu()
    alone, watched = copy.deepcopy(model), copy.deepcopy(model)
    trained(alone, tmp_path / "alone")
    rings: list[int] = []
    callback = RoutingCallback(every=3, tell=lambda step, alarms: rings.append(step))
    trainer = trained(watched, tmp_path / "watched", callback)
    assert [entry["step"] for entry in callback.history] == [1, 4]
    assert len(callback.history[0]["entropy"]) == model.config.num_hidden_layers
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert all({"moe_entropy", "moe_peak", "moe_dead", "moe_loss", "moe_alarms"} <= entry.keys() for entry in logged)
    assert 0 < logged[0]["moe_entropy"] <= 1
    for one, other in zip(alone.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in watched.modules())


def test_a_watch_can_be_asked_again_and_again(model: Any) -> None:
    with RoutingWatch(model) as watch:
        for length in (3, 5):
            model(torch.arange(length, device=model.device)[None])
            routing = watch.routing()
            assert routing is not None
            assert routing.token_ids.tolist() == list(range(length))


def test_a_step_that_fails_leaves_nothing_in_the_model(model: Any) -> None:
    class FailsError(RuntimeError):
        pass

    def fail(*_: Any) -> None:
        raise FailsError

    before = traces(model)
    callback, state = RoutingCallback(every=1), TrainerState(global_step=0)
    nothing: Any = None
    for _ in range(2):  # what fails is tried again
        callback.on_step_begin(nothing, state, nothing, model=model)
        handle = model.model.layers[1].register_forward_hook(fail)
        with pytest.raises(FailsError):
            model(torch.tensor([[1, 2]], device=model.device))
        handle.remove()
        assert traces(model) == before


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(BadOption, match="at least 1"):
        RoutingCallback(every=0)
    with pytest.raises(IncompatibleParts, match="Mixtral"):
        RoutingWatch(tiny_model())
