"""Products in blocks, on either side, and by oneDNN: the same numbers, only where they are faster, and nothing is left on the model."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
from families.precision import StaysInFloat64
from families.walk import walk
from target.large_layers import always, found_out, large, linear, noting, plain, replaced, taking
from target.random_walk import compare
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from decodeplug.target import Target, latent, products, weights
from decodeplug.target.modelstate import model_state
from decodeplug.target.products import Products
from decodeplug.target.ways import Way, blocks_of, in_blocks, transposed
from decodeplug.testing.families import family_model


@pytest.mark.parametrize("way", [in_blocks, blocks_of])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(2, 48), (1, 5, 48), (3, 5, 48), (15, 1, 48), (1, 48), (1, 1, 48), (48,)])
def test_blocks_give_the_product(shape: tuple[int, ...], bias: bool, way: Way) -> None:
    states, weight = torch.randn(shape, dtype=torch.float64), torch.randn(96, 48, dtype=torch.float64)
    added = torch.randn(96, dtype=torch.float64) if bias else None
    strided = states.repeat_interleave(2, -1)[..., ::2]
    for given in (states, strided):
        found = way(given, weight, added)
        torch.testing.assert_close(found, linear(states, weight, added), rtol=0, atol=1e-12)
        assert found.is_contiguous(), "models take views of what their layers put out"


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(2, 48), (3, 5, 48), (15, 1, 48), (48,)])
def test_a_weight_in_the_place_of_the_rows_gives_the_product(shape: tuple[int, ...], bias: bool) -> None:
    states, weight = torch.randn(shape), torch.randn(96, 48)
    added = torch.randn(96) if bias else None
    expected = linear(states.double(), weight.double(), None if added is None else added.double())
    for given in (states, states.repeat_interleave(2, -1)[..., ::2]):
        found = transposed(given, weight, added)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
        assert found.is_contiguous()


def test_a_model_multiplies_with_weights_in_the_place_of_the_rows_and_has_gradients_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "_LEAST_WEIGHT", 0)
    model, used = copy.deepcopy(family_model("opt")).float(), list[int]()  # its layers have a bias
    found, ids = found_out(model, always(noting(used, transposed))), torch.tensor([[5, 6, 7]], device=model.device)
    with torch.no_grad():
        expected = model(ids).logits
        with found.quick(3):
            torch.testing.assert_close(model(ids).logits, expected, rtol=0, atol=1e-4)
    assert ({3} <= set(used)) == (model.device.type == "cpu")
    gradients: list[Tensor] = []
    for rows in (400, 3):  # as the model multiplies, and as we do
        model.zero_grad()
        with found.quick(rows):
            model(ids).logits.sum().backward()
        gradients.append(torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None]))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-3)


def test_a_layer_in_another_dtype_than_its_model_is_multiplied_as_it_is() -> None:
    model, states = large(), torch.randn(4, 512, dtype=torch.float64)
    found = found_out(model, always(transposed))
    model[1].double()
    with found.quick(4), torch.no_grad():
        torch.testing.assert_close(model[1](states), linear(states, model[1].weight))


UNTRIED = [family_model("llama"), nn.Sequential(), large().to("meta"), large().to(torch.float8_e4m3fn)]


@pytest.mark.parametrize("module", UNTRIED, ids=["small", "empty", "elsewhere", "quantised"])
def test_other_models_are_left_as_they_are(module: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_seconds", lambda tries, ways: pytest.fail("was tried"))
    found = Products(module)
    assert not found.seconds()
    with found.quick(4):
        assert not replaced(module)


@pytest.mark.filterwarnings("default")
def test_blocks_are_not_for_a_model_that_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = taking(monkeypatch, [1.0], [0.5])
    model, other = large(), large()
    model[1].compile(backend="eager")
    assert plain(Products(model))
    compiled = torch.compile(other, backend="eager")
    for left_alone in (Products(other, compiled), Products(nn.Sequential(compiled))):
        assert plain(left_alone)
        with left_alone.quick(4):
            assert not replaced(other)
    assert tried == [1] * 3
    assert not plain(Products(other)), "what holds of its compiled form does not hold of itself"


def test_nothing_of_a_layer_lives_longer_than_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, [1.0], [0.5])
    model = large()
    found, weight = Products(model), weakref.ref(model[0].weight)
    with found.quick(4):
        model[0](torch.randn(4, 512))
    del model
    assert weight() is None
    with found.quick(4):
        pass


class _Watching(TorchFunctionMode):
    """Notes the names of the functions that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def test_a_layer_multiplies_in_blocks_only_while_it_shall_and_only_where_nobody_looks() -> None:
    model, foreign = large(torch.float64), nn.Linear(512, 512, dtype=torch.float64)
    model.extend([nn.Linear(2048, 50, dtype=torch.float64), foreign])  # 50 is no multiple of a block
    foreign.forward = theirs = lambda states: states
    used: list[int] = []
    found = found_out(model, (None, None, *[noting(used)] * 14, *[None] * 17))
    states = torch.randn(4, 512, dtype=torch.float64)
    expected = model[0](states)
    with found.quick(4):
        assert replaced(model) == 4
        torch.testing.assert_close(model[0](states), expected, rtol=0, atol=1e-10)
        model[0](states[:1])
        model[0](states[:0])
        model[0](states.repeat(5, 1))
        with _Watching() as watching:
            model[0](states)
        assert "linear" in watching.names
    assert used == [4]
    with pytest.raises(ZeroDivisionError), found.quick(4):
        raise ZeroDivisionError
    for rows in (0, 1, 33, 400):
        with found.quick(rows):
            assert replaced(model) == 1
    assert foreign.forward is theirs
    assert replaced(model) == 1, "only what was there before"


def test_a_layer_whose_weight_was_changed_meanwhile_has_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, [1.0], [0.5])
    model, states = large(), torch.randn(4, 512)
    found = Products(model)
    with found.quick(4):
        model[0](states)
    model.to(torch.float64)
    model[0].weight = nn.Parameter(torch.randn(512, 2048, dtype=torch.float64).T)  # not contiguous
    with found.quick(4):
        torch.testing.assert_close(model[0](states.double()), linear(states.double(), model[0].weight))


def test_products_in_another_dtype_than_was_tried_are_the_layers_own() -> None:
    model, used = large(), list[int]()
    found, states = found_out(model, always(noting(used))), torch.randn(4, 512)
    with found.quick(4):
        with torch.autocast("cpu", torch.bfloat16):
            assert model[0](states).dtype == torch.bfloat16
        with pytest.raises(RuntimeError, match="dtype"):
            model[0](states.double())
        assert not used
        model[0](states)
    assert used == [4]


FAMILIES = ["llama", "gemma3_text", "opt", "qwen3_moe", "bert", "deepseek_v3", "phi3", "mamba", "qwen3_next"]


@pytest.mark.parametrize("way", [in_blocks, blocks_of])
@pytest.mark.parametrize("family", FAMILIES)
def test_families_give_the_same_logits_in_blocks(family: str, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_LEAST_WEIGHT", 0)
    monkeypatch.setattr(
        products, "has_torch_function", lambda given: False
    )  # what keeps to float64 does not look at products
    model = copy.deepcopy(family_model(family))
    target, plainly, used = Target(model), Target(family_model(family)), list[int]()
    target.products = found_out(model, always(noting(used, way)))
    with StaysInFloat64():
        assert compare(target, seed=0) < 1e-9
        outcome = walk(model, target=target)
        sessions = [one.session() for one in (target, plainly)]
        for session in sessions:
            session.keep([-1], [0])
        for held, feed in enumerate([[5, 6], [7], [8]], start=2):  # a lane by itself, one row at a time
            ours, theirs = [session.forward([feed], [1]) for session in sessions]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
            for session in sessions:
                session.keep([0], [held])
    assert outcome.wrong_rows == 0
    assert outcome.worst < 1e-9
    assert ({1, 2} <= set(used)) == (model.device.type == "cpu")
    assert not replaced(model)


def _cut(family: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Target, list[int]]:
    """A model that multiplies all its rows in blocks, and the numbers of rows that it did so with."""
    monkeypatch.setattr(weights, "_LEAST_WEIGHT", 0)
    monkeypatch.setattr(products, "has_torch_function", lambda given: False)
    model, used = family_model(family), list[int]()
    target = Target(model)
    target.products = found_out(model, always(noting(used)))
    return model, target, used


@pytest.mark.parametrize("family", ["opt", "bloom", "whisper"])
def test_stored_inputs_are_told_of_layers_that_multiply_in_blocks(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, target, used = _cut(family, monkeypatch)
    with StaysInFloat64():
        outcome = walk(model, "stored-input", target=target)
    assert (outcome.wrong_rows, outcome.worst < 1e-9) == (0, True)
    assert bool(used) == (model.device.type == "cpu")


def test_latents_are_not_expanded_where_layers_multiply_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, target, used = _cut("deepseek_v3", monkeypatch)
    monkeypatch.setattr(latent, "_pays", lambda *shapes: True)
    attended: list[int] = []
    attend = latent.Latents.attend

    def noted(self: Any, query: Tensor, *args: Any, **options: Any) -> Tensor:
        attended.append(query.shape[2])
        return attend(self, query, *args, **options)

    monkeypatch.setattr(latent.Latents, "attend", noted)
    with StaysInFloat64():
        assert walk(model, target=target).worst < 1e-10
    assert {1, 3} <= set(attended)
    assert bool(used) == (model.device.type == "cpu")


def test_a_model_whose_layers_multiply_in_blocks_is_still_the_same() -> None:
    model = large()
    found, before = found_out(model, always(blocks_of)), model_state(model)
    with found.quick(1):
        assert replaced(model) == 3
        assert model_state(model) == before
        model[0].forward = model[1].forward = lambda states: states
        assert model_state(model) != before


def test_it_is_found_out_again_for_another_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = taking(monkeypatch, [1.0], [0.5])
    model = large()
    found = Products(model)
    model.to(torch.float64)
    for _ in range(2):
        found.seconds()
    assert tried == [4, 3]
