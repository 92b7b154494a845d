"""Which way is taken for how many rows: what is tried, and what follows from it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from target.large_layers import PLAIN, always, large, linear, parted, replaced, taking
from torch import Tensor, nn

from decodeplug.target import products, ways, weights
from decodeplug.target.products import Products
from decodeplug.target.ways import Choice, Way, blocks_of, in_blocks, transposed, ways_of


def names(choice: Choice) -> str:
    known = {None: "-", in_blocks: "r", blocks_of: "l", transposed: "t"}
    return "".join(known[way] for way in choice)


def test_blocks_are_taken_for_the_numbers_of_rows_that_are_clearly_faster_so(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(
        monkeypatch,
        plain=[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0],
        right=[0.95, 1.1, 0.95, 1.2, 1.9, 1.2, 1.2, 2.0, 2.0, 3.0],
        left=[0.5, 0.8, 0.95, 1.3, 1.9, 1.1, 2.0, 2.0, 2.0, 3.0],
        turned=[*[9.0] * 9, 2.8, 1.5],
    )
    model = large()
    tried = Products(model)._tried()
    layers, output = tried.chosen
    assert names(layers.of(512)) == "-ll-r-lr-rrrr----" + "t" * 16
    assert output.of(512) == PLAIN
    took = [
        0.5,
        0.8,
        1.0,
        1.2,
        2.0,
        1.1,
        1.2,
        2.0,
        *[2.0] * 4,
        2.25,
        2.5,
        2.75,
        3.0,
        *(3.0 - 1.5 * step / 16 for step in range(1, 17)),
    ]
    assert tried.seconds == [0.0, *(pytest.approx(4 * one) for one in took)], "of four tries' worth of weights"


def test_a_forward_of_fewer_rows_than_are_ever_cut_has_its_own_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    taking(monkeypatch, [1.0], [1.0] * 8 + [0.5] * 2 + [1.0])
    model = large()
    found = Products(model)
    for rows, expected in ((1, 0), (8, 0), (9, 3), (16, 3), (17, 3), (33, 0)):
        with found.quick(rows):
            assert replaced(model) == expected


@pytest.mark.parametrize(("dtype", "ways"), [(torch.bfloat16, 1), (torch.float16, 1), (torch.float32, 3)])
def test_one_row_in_half_precision_is_multiplied_as_by_the_model_alone(dtype: torch.dtype, ways: int) -> None:
    tries = [[torch.ones(64, 48, dtype=dtype), torch.ones(64, 48)]]
    tried = [rows for _, rows in products._seconds(tries, [None, in_blocks, blocks_of])]
    assert {rows: tried.count(rows) for rows in tried} == {1: ways, **dict.fromkeys(products._ROWS[1:], 3)}


def test_it_is_found_out_again_for_another_number_of_threads_and_once_for_all_hosts_of_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = taking(monkeypatch, [1.0], [0.5])
    model, before = large(), torch.get_num_threads()
    for threads in (2, 1, 2, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert Products(model).seconds() == [0.0, *[pytest.approx(2.0)] * 32]
    assert tried == [4] * 2, f"of 1 and 2 threads, and not of {before} before"


def test_ways_that_take_much_longer_than_the_best_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {None: 1.0, in_blocks: 1.6, blocks_of: 1.4}
    tried: list[tuple[Way | None, int]] = []

    def multiply(way: Way | None, rows: int, weights: Sequence[Tensor]) -> Sequence[float]:
        if len(weights) > products._WARM:
            tried.append((way, rows))
        return [took[way]] * len(weights)

    monkeypatch.setattr(products, "_multiply", multiply)
    found = products._seconds([[torch.ones(64, 48)] * 5] * 2, list(took))
    times = {way: {tried.count((way, rows)) for rows in products._ROWS[1:]} for way in took}
    assert times == {None: {products._REPEATS}, in_blocks: {2}, blocks_of: {products._REPEATS}}
    assert all(found[way, rows] == [took[way]] * 5 for way in took for rows in products._ROWS)


def test_what_only_some_builds_and_dtypes_have_is_no_way_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plainly = (in_blocks, blocks_of)
    assert all(ways_of(dtype) == plainly for dtype in (torch.float64, torch.bfloat16, torch.float16))
    assert ways_of(torch.float32) == (*plainly, transposed)
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.mkldnn, "enabled", False)
        assert ways_of(torch.float32) == plainly
    monkeypatch.setattr(ways, "_by_onednn", lambda left: pytest.fail("takes one tensor less"))
    ways._has_onednn.cache_clear()
    assert ways_of(torch.float32) == plainly
    monkeypatch.undo()
    ways._has_onednn.cache_clear()


def _places(parts: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Where they begin and end in memory."""
    return [(part.data_ptr(), part.data_ptr() + part.nbytes) for part in parts]


def test_every_try_is_with_other_weights_of_the_same_shapes_as_in_a_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplied: list[tuple[str, int, tuple[int, int], torch.Size]] = []

    def noting(name: str, way: Way) -> Way:
        def noted(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            multiplied.append((name, len(states), *_places([weight]), weight.shape))
            return way(states, weight, bias)

        return noted

    monkeypatch.setattr(nn.functional, "linear", noting("plain", linear))
    noted_ways = [noting("right", in_blocks), noting("left", blocks_of)]
    monkeypatch.setattr(products, "ways_of", lambda dtype: noted_ways)
    monkeypatch.setattr(products, "_HOPELESS", float("inf"))
    monkeypatch.setattr(weights, "_TRIED_BYTES", 9 << 20)
    model = parted((64, 2048), *[(2048, 512), (512, 2048)] * 6)  # the first is the only one of its kind
    seconds = Products(model).seconds()
    assert len(seconds) == 33
    assert all(took > 0 for took in seconds[1:])
    tries = [multiplied[first : first + 2] for first in range(0, len(multiplied), 2)]
    assert all([shape for *_, shape in one] == [(2048, 512), (512, 2048)] for one in tries)
    turns = [(way, rows) for rows in products._ROWS for way in ("plain", "right", "left") for _ in ("warm", "timed")]
    assert [one[0][:2] for one in tries] == [*[("plain", 1)] * 6, *turns * products._REPEATS]
    assert {place for one in tries for _, _, place, _ in one} == set(
        _places([part.weight for part in model.layers[1:]])
    )
    timed = tries[6:][1::2]
    assert all(one[0][2] != other[0][2] for one, other in itertools.pairwise(timed))
    assert all(warm[0][2] != one[0][2] for warm, one in zip(tries[6::2], timed, strict=True))


def test_experts_that_are_no_linear_layers_are_not_overlooked() -> None:
    model = large()
    assert Products(model).are_most
    model.experts = nn.Parameter(torch.zeros(4, 2048, 512))
    assert not Products(model).are_most


def test_the_output_is_tried_for_what_it_is_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    module = parted(*[(2048, 512)] * 3, output=(8192, 512))
    monkeypatch.setattr(weights, "_TRIED_BYTES", 8 << 20)
    quarter, slow = len(module.output.weight) // 4, [1.0] * 6 + [9.0] + [1.0] * 4

    def seconds(tries: Sequence[Sequence[Tensor]], ways: object) -> products._Taken:
        took = slow if len(tries[0][0]) == quarter else [1.0] * 11  # seven rows, of the output only
        return {(None, rows): [one] for rows, one in zip(products._ROWS, took, strict=True)}

    monkeypatch.setattr(products, "_seconds", seconds)
    assert Products(module).seconds() == [0.0, *[8.0] * 6, 40.0, *[8.0] * 25]


def test_layers_and_output_are_multiplied_each_in_the_way_that_is_faster_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = parted(*[(2048, 512)] * 3, output=(8192, 512))
    quarter = len(module.output.weight) // 4
    taking(monkeypatch, [1.0], [0.5], of=lambda weight: 1.0 if len(weight) == quarter else 4.0)
    found = Products(module)
    layers, output = found._tried().chosen
    assert layers.of(512) == PLAIN
    assert output.of(512) == always(in_blocks)
    with found.quick(4):
        assert "forward" in module.output.__dict__
        assert not replaced(module.layers)
    assert not replaced(module)


def test_layers_with_other_numbers_of_inputs_are_multiplied_each_in_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    module = parted(*[(2048, 512), (512, 2048)] * 6, (64, 1024))  # of the last kind none is tried
    taking(monkeypatch, [1.0], [0.5], [0.3], of=lambda weight: len(weight) / 512)
    found = Products(module)
    layers, _ = found._tried().chosen
    assert (layers.of(2048), layers.of(512)) == (always(blocks_of), PLAIN)
    assert layers.of(1024) == always(blocks_of), "what is best for all that were tried, 2.7 in place of 3 seconds"
    assert found.seconds()[1] == pytest.approx(48.25 / 12 * (1.0 + 0.3 + 1.0)), "a try is of twelve megabytes"
    with found.quick(1):
        assert [replaced(layer) for layer in module.layers] == [0, 1] * 6 + [1]


def test_layers_that_cannot_be_cut_are_tried_as_they_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[int] = []

    def noted(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        cut.append(len(weight))
        return in_blocks(states, weight, bias)

    monkeypatch.setattr(products, "ways_of", lambda dtype: [noted])
    Products(nn.Sequential(*(nn.Linear(512, outputs) for _ in range(4) for outputs in (4096, 8193))))
    assert set(cut) == {4096}
