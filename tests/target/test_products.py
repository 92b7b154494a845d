"""Products in blocks: the same numbers, only where they are faster, and nothing is left on the model."""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from families.precision import StaysInFloat64
from families.walk import walk
from target.random_walk import compare
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from decodeplug.target import Target, products, weights
from decodeplug.target.products import Products, in_blocks
from decodeplug.testing.families import family_model

EVERY_ROW = frozenset(range(2, 17))
linear = nn.functional.linear


def _large(dtype: torch.dtype = torch.float32) -> nn.Module:
    return nn.Sequential(*(nn.Linear(512, 2048, bias=False, dtype=dtype) for _ in range(3)))


def _taking(monkeypatch: pytest.MonkeyPatch, plain: Sequence[float], cut: Sequence[float]) -> list[str]:
    """Products take so many seconds, for 1, 2 ... 8, 12 and 16 rows; returns which ways were tried."""
    tried: list[str] = []

    def seconds(tries: Sequence[Sequence[Tensor]], way: Callable[..., Tensor]) -> dict[int, float]:
        tried.append("plain" if way is linear else "cut")
        return dict(zip(products._ROWS, plain if way is linear else cut, strict=True))

    monkeypatch.setattr(products, "_seconds", seconds)
    return tried


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(2, 48), (1, 5, 48), (3, 5, 48), (15, 1, 48), (48,)])
def test_blocks_give_the_product(shape: tuple[int, ...], bias: bool) -> None:
    states, weight = torch.randn(shape, dtype=torch.float64), torch.randn(96, 48, dtype=torch.float64)
    added = torch.randn(96, dtype=torch.float64) if bias else None
    torch.testing.assert_close(in_blocks(states, weight, added), linear(states, weight, added), rtol=0, atol=1e-12)
    strided = states.repeat_interleave(2, -1)[..., ::2]
    torch.testing.assert_close(in_blocks(strided, weight, added), linear(states, weight, added), rtol=0, atol=1e-12)


def test_blocks_are_taken_for_the_numbers_of_rows_that_are_clearly_faster_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _taking(
        monkeypatch,
        plain=[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0],
        cut=[0.5, 1.1, 0.95, 1.2, 1.9, 1.2, 1.2, 2.0, 2.0, 3.0],
    )
    tried = Products(_large())._tried()
    assert tried.in_blocks == ({4, 6, 7, *range(9, 13)}, set())
    took = [1.0, 1.0, 1.0, 1.2, 2.0, 1.2, 1.2, 2.0, *[2.0] * 4, *[3.0] * 4]
    assert tried.seconds == [0.0, *(pytest.approx(4 * one) for one in took)], "of four tries' worth of weights"


def test_a_forward_of_fewer_rows_than_are_ever_cut_has_its_own_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    _taking(monkeypatch, [1.0] * 10, [1.0] * 8 + [0.5] * 2)
    model = _large()
    found = Products(model)
    for rows, replaced in ((8, 0), (9, 3), (16, 3)):
        with found.quick(rows):
            assert _replaced(model) == replaced


def test_it_is_found_out_again_for_another_number_of_threads_and_once_for_all_hosts_of_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = _taking(monkeypatch, [1.0] * 10, [0.5] * 10)
    model, before = _large(), torch.get_num_threads()
    for threads in (2, 1, 2, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert Products(model).seconds() == [0.0, pytest.approx(4.0), *[pytest.approx(2.0)] * 15]
    assert tried == ["plain", "cut"] * 2, f"of 1 and 2 threads, and not of {before} before"


def _parted(*shapes: tuple[int, int], output: tuple[int, int] | None = None) -> Any:
    """Layers whose weights have these shapes, and an output layer."""
    module: Any = nn.Module()
    module.layers = nn.Sequential(*(nn.Linear(inputs, outputs, bias=False) for outputs, inputs in shapes))
    module.output = None if output is None else nn.Linear(output[1], output[0], bias=False)
    module.get_decoder, module.get_output_embeddings = lambda: module.layers, lambda: module.output
    return module


def _places(parts: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Where they begin and end in memory."""
    return [(part.data_ptr(), part.data_ptr() + part.nbytes) for part in parts]


def test_every_try_is_with_other_weights_of_the_same_shapes_as_in_a_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplied: list[tuple[int, tuple[int, int], torch.Size]] = []

    def noted(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        multiplied.append((len(states), *_places([weight]), weight.shape))
        return linear(states, weight, bias)

    monkeypatch.setattr(nn.functional, "linear", noted)
    monkeypatch.setattr(weights, "_TRIED_BYTES", 9 << 20)
    model = _parted((64, 2048), *[(2048, 512), (512, 2048)] * 6)  # the first is the only one of its kind
    seconds = Products(model).seconds()
    assert len(seconds) == 17
    assert all(took > 0 for took in seconds[1:])
    tries = [multiplied[first : first + 2] for first in range(0, len(multiplied), 2)]
    assert all([shape for _, _, shape in one] == [(2048, 512), (512, 2048)] for one in tries)
    assert [one[0][0] for one in tries] == [*[1] * 6, *list(products._ROWS) * products._REPEATS]
    assert {place for one in tries for _, place, _ in one} == set(_places([part.weight for part in model.layers[1:]]))
    assert all(one[0][1] != other[0][1] for one, other in itertools.pairwise(tries))


def test_experts_that_are_no_linear_layers_are_not_overlooked() -> None:
    model = _large()
    assert Products(model).are_most
    model.experts = nn.Parameter(torch.zeros(4, 2048, 512))
    assert not Products(model).are_most


def test_the_output_is_tried_for_what_it_is_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _parted(*[(2048, 512)] * 3, output=(8192, 512))
    monkeypatch.setattr(weights, "_TRIED_BYTES", 8 << 20)
    even, quarter = dict.fromkeys(products._ROWS, 1.0), len(module.output.weight) // 4
    slow_ones = {quarter: {**even, 7: 9.0}}  # seven rows, of the output only
    monkeypatch.setattr(products, "_seconds", lambda tries, way: slow_ones.get(len(tries[0][0]), even))
    assert Products(module).seconds() == [0.0, *[8.0] * 6, 40.0, *[8.0] * 9]


def test_layers_and_output_are_multiplied_each_in_the_way_that_is_faster_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = _parted(*[(2048, 512)] * 3, output=(8192, 512))
    rows = products._ROWS

    def seconds(tries: Sequence[Sequence[Tensor]], way: Callable[..., Tensor]) -> dict[int, float]:
        in_blocks = 0.5 if len(tries[0][0]) == len(module.output.weight) // 4 else 2.0
        return dict.fromkeys(rows, 1.0 if way is linear else in_blocks)

    monkeypatch.setattr(products, "_seconds", seconds)
    found = Products(module)
    assert found._tried().in_blocks == (set(), EVERY_ROW)
    with found.quick(4):
        assert "forward" in module.output.__dict__
        assert not _replaced(module.layers)
    assert not _replaced(module)


UNTRIED = [family_model("llama"), nn.Sequential(), _large().to("meta"), _large().to(torch.float8_e4m3fn)]


@pytest.mark.parametrize("module", UNTRIED, ids=["small", "empty", "elsewhere", "quantised"])
def test_other_models_are_left_as_they_are(module: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_seconds", lambda tries, way: pytest.fail("was tried"))
    found = Products(module)
    assert not found.seconds()
    with found.quick(4):
        assert not _replaced(module)


@pytest.mark.filterwarnings("default")
def test_blocks_are_not_for_a_model_that_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = _taking(monkeypatch, [1.0] * 10, [0.5] * 10)
    model, other = _large(), _large()
    model[1].compile(backend="eager")
    assert not any(Products(model)._tried().in_blocks)
    compiled = torch.compile(other, backend="eager")
    for left_alone in (Products(other, compiled), Products(nn.Sequential(compiled))):
        assert not any(left_alone._tried().in_blocks)
        with left_alone.quick(4):
            assert not _replaced(other)
    assert tried == ["plain"] * 3
    assert any(Products(other)._tried().in_blocks), "what holds of its compiled form does not hold of itself"


def test_nothing_of_a_layer_lives_longer_than_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    _taking(monkeypatch, [1.0] * 10, [0.5] * 10)
    model = _large()
    found, weight = Products(model), weakref.ref(model[0].weight)
    with found.quick(4):
        model[0](torch.randn(4, 512))
    del model
    assert weight() is None
    with found.quick(4):
        pass


def test_layers_that_cannot_be_cut_are_tried_as_they_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[int] = []

    def noted(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        cut.append(len(weight))
        return in_blocks(states, weight, bias)

    monkeypatch.setattr(products, "in_blocks", noted)
    Products(nn.Sequential(*(nn.Linear(512, outputs) for _ in range(4) for outputs in (4096, 8193))))
    assert set(cut) == {4096}


class _Watching(TorchFunctionMode):
    """Notes the names of the functions that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def _replaced(module: nn.Module) -> int:
    return sum("forward" in part.__dict__ for part in module.modules())


def _used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of rows that are multiplied in blocks from now on."""
    used: list[int] = []

    def counted(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        used.append(states.numel() // states.shape[-1])
        return in_blocks(states, weight, bias)

    monkeypatch.setattr(products, "in_blocks", counted)
    return used


def test_a_layer_multiplies_in_blocks_only_while_it_shall_and_only_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _taking(monkeypatch, [1.0] * 10, [0.5] * 9 + [1.0])
    model, foreign = _large(torch.float64), nn.Linear(512, 512, dtype=torch.float64)
    model.extend([nn.Linear(2048, 50, dtype=torch.float64), foreign])  # 50 is no multiple of a block
    foreign.forward = theirs = lambda states: states
    found, used, states = Products(model), _used(monkeypatch), torch.randn(4, 512, dtype=torch.float64)
    expected = model[0](states)
    with found.quick(4):
        assert _replaced(model) == 4
        torch.testing.assert_close(model[0](states), expected, rtol=0, atol=1e-10)
        model[0](states[:1])
        with _Watching() as watching:
            model[0](states)
        assert "linear" in watching.names
    assert used == [4]
    with pytest.raises(ZeroDivisionError), found.quick(4):
        raise ZeroDivisionError
    for rows in (1, 17, 400):
        with found.quick(rows):
            assert _replaced(model) == 1
    assert foreign.forward is theirs
    assert _replaced(model) == 1, "only what was there before"


def test_a_layer_whose_weight_was_changed_meanwhile_has_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _taking(monkeypatch, [1.0] * 10, [0.5] * 10)
    model, states = _large(), torch.randn(4, 512)
    found = Products(model)
    with found.quick(4):
        model[0](states)
    model.to(torch.float64)
    model[0].weight = nn.Parameter(torch.randn(512, 2048, dtype=torch.float64).T)  # not contiguous
    with found.quick(4):
        torch.testing.assert_close(model[0](states.double()), linear(states.double(), model[0].weight))


def test_a_bias_does_not_change_the_dtype_of_a_product_in_bfloat16() -> None:
    states, weight, bias = torch.randn(4, 48), torch.randn(96, 48), torch.randn(96)
    with torch.autocast("cpu", torch.bfloat16):
        assert in_blocks(states, weight, bias).dtype == linear(states, weight, bias).dtype == torch.bfloat16


FAMILIES = ["llama", "gemma3_text", "opt", "qwen3_moe", "bert", "deepseek_v3", "phi3", "mamba", "qwen3_next"]


@pytest.mark.parametrize("family", FAMILIES)
def test_families_give_the_same_logits_in_blocks(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_LEAST_WEIGHT", 0)
    monkeypatch.setattr(
        products, "has_torch_function", lambda given: False
    )  # what keeps to float64 does not look at products
    model = copy.deepcopy(family_model(family))
    target, used = Target(model), _used(monkeypatch)
    products._KNOWN[model] = {(torch.get_num_threads(), True): products._Tried([], (EVERY_ROW, EVERY_ROW))}
    target.products = Products(model)
    with StaysInFloat64():
        assert compare(target, seed=0) < 1e-9
        outcome = walk(model, target=target)
    assert outcome.wrong_rows == 0
    assert outcome.worst < 1e-9
    assert used
    assert not _replaced(model)
