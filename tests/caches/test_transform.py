"""Transform coding: what a calibration finds out, how bits are spent, and what comes of it."""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from decodeplug import Host
from decodeplug.caches import Dense, Latent, Quantised
from decodeplug.caches.transform.allocation import WIDTHS, allocate
from decodeplug.caches.transform.calibrated import FILE, Calibration
from decodeplug.caches.transform.components import ROUNDED, Components, unbent
from decodeplug.calibration import calibrate
from decodeplug.calibration.moments import begun
from decodeplug.calibration.scales import _curves
from decodeplug.errors import BadOption, IncompatibleParts, UnsupportedModel
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout, check_cache, tiny_model
from decodeplug.testing.families import family_model


def text(count: int, seed: int = 0) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(256) for _ in range(count)]


@cache
def calibration() -> Calibration:
    return calibrate(Host(tiny_model(), None, plugins=[]), [text(4000)], bits=3, source="random ids")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    calibration().save(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["llama", "cohere", "gemma3_text", "gpt2"])
def test_the_rotation_is_measured_in_any_precision(family: str, dtype: torch.dtype) -> None:
    model = copy.deepcopy(family_model(family))
    exact = [layer.rotation for layer in begun(Target(family_model(family)))]
    for one, other in zip(exact, (layer.rotation for layer in begun(Target(model.to(dtype)))), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.kind == other.kind
            assert torch.allclose(one.angles, other.angles, atol=2e-3)


@pytest.mark.parametrize(
    ("family", "kind", "turned"),
    [
        ("llama", "half", 8),
        ("gptj", "interleaved", None),
        ("gpt_neox", "half", None),
        ("phi", "half", None),
        ("gemma3_text", "half", None),
        ("cohere", "interleaved", None),
        ("smollm3", "half", None),
        ("gpt2", None, None),
        ("bloom", None, None),
    ],
)
def test_the_rotation_of_keys_is_measured(family: str, kind: str | None, turned: int | None) -> None:
    target = Target(family_model(family))
    found = [layer.rotation for layer in begun(target)]
    turning = [rotation for rotation in found if rotation is not None and len(rotation.angles)]
    assert {rotation.kind for rotation in turning} == ({kind} if kind else set())
    assert kind is None or all(float(rotation.angles[0].abs()) == pytest.approx(1, abs=1e-6) for rotation in turning)
    assert turned is None or {len(rotation.angles) for rotation in turning} == {turned}


def test_layers_with_other_frequencies_have_other_rotations() -> None:
    target = Target(family_model("gemma3_text"))
    found = [layer.rotation for layer in begun(target)]
    kinds = target.choice.kinds
    for one, other in itertools.combinations(range(len(found)), 2):
        assert (found[one] is found[other]) == (kinds[one] == kinds[other])


def test_bits_are_spent_where_they_save_most() -> None:
    chance = torch.Generator().manual_seed(1)
    worth = torch.rand(1, 4, generator=chance, dtype=torch.float64) ** 4
    factors = torch.tensor([4.0**-width for width in WIDTHS], dtype=torch.float64)
    losses = [factors[:, None] * layer for layer in worth]
    for bits in (1.0, 2.5, 4.0):
        given = torch.cat(allocate(losses, bits))
        assert int(given.sum()) <= bits * 4
        spent = float((worth.flatten() * 4.0**-given).sum())
        best = min(
            float((worth.flatten() * 4.0 ** -torch.tensor(widths)).sum())
            for widths in itertools.product(WIDTHS, repeat=4)
            if sum(widths) <= int(given.sum())
        )
        assert spent == pytest.approx(best)


def test_only_widths_that_are_allowed_are_given() -> None:
    losses = [torch.tensor([[1.0, 0.5]] + [[0.1, 0.05]] * (len(WIDTHS) - 2) + [[0.0, 0.0]])]
    assert allocate(losses, 8, (0, 16))[0].tolist() == [16, 0]
    assert allocate(losses, 1, (1,))[0].tolist() == [1, 1]


def test_components_without_rounding_are_the_rows_themselves() -> None:
    for layer in calibration().layers:
        keys = torch.randn(64, layer.heads, layer.key_dim)
        values = torch.randn(64, layer.heads, layer.value_dim)
        for bits, most in ((16, 0.02), (8, 1.0)):
            codec = Components(layer, torch.full((len(layer.mean),), bits), 64)
            codes = tuple(part[None] for part in codec.encode(keys * 0.1, values * 0.1, 64))
            found = codec.decode(codes, [64], keys)
            assert float((found[0][0] - keys * 0.1).abs().max()) < most
            assert float((found[1][0] - values * 0.1).abs().max()) < most


def test_numbers_of_all_widths_together_mean_what_the_basis_says() -> None:
    for layer in calibration().layers:
        dim = len(layer.mean)
        bits = torch.tensor([WIDTHS[place % len(WIDTHS)] for place in range(dim)])
        rows = (
            layer.mean
            + 3 * torch.randn(64, dim, generator=torch.Generator().manual_seed(1)) @ layer.decode.abs().sqrt()
        )
        wanted = torch.zeros(64, dim)
        for place, (width, value) in enumerate(zip(bits.tolist(), ((rows - layer.mean) @ layer.encode).T, strict=True)):
            if width in ROUNDED:
                row, middle = ROUNDED.index(width), (2**width - 1) / 2
                step, bend = layer.steps[row, place], layer.bends[row, place]
                number = torch.arange(2**width) - middle
                nearest = (unbent(value / step, bend)[:, None] - number).abs().argmin(1)
                wanted[:, place] = step * (number + bend * number**3)[nearest]
            elif width:
                wanted[:, place] = value
        expected = layer.mean + wanted @ layer.decode
        turned = layer.heads * layer.key_dim
        codec = Components(replace(layer, rotation=None), bits, 64)
        keys, values = (
            rows[:, :turned].unflatten(1, (layer.heads, -1)),
            rows[:, turned:].unflatten(1, (layer.heads, -1)),
        )
        codes = tuple(part[None] for part in codec.encode(keys, values, 0))
        found = torch.cat([part[0].flatten(1) for part in codec.decode(codes, [0], keys)], dim=1)
        size = float(expected.abs().max())
        assert float((found - expected).abs().max()) < 2e-3 * size


@given(some.floats(-300, 300), some.floats(0, 4))
def test_a_bent_scale_is_left_as_it_was_entered(number: float, bend: float) -> None:
    value, bends = torch.tensor([number], dtype=torch.float64), torch.tensor([bend], dtype=torch.float64)
    assert float(unbent(value + bends * value**3, bends)) == pytest.approx(number, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_values_that_are_mostly_small_have_a_bent_scale(bits: int) -> None:
    normal = torch.randn(4096, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.stack([torch.linspace(-1, 1, 4096, dtype=torch.float64), normal[:, 0] * normal[:, 1].abs()], dim=1)
    rows = torch.cat([rows, rows[:1000]])
    steps, bends, lost = _curves(rows.sort(0).values, rows.std(0), bits)
    assert float(bends[0]) == 0
    assert float(bends[1]) > 0
    for place in range(2):
        middle = (2**bits - 1) / 2
        numbers = (unbent(rows[:, place] / steps[place], bends[place]) + middle).round().clamp(0, 2 * middle) - middle
        away = steps[place] * (numbers + bends[place] * numbers**3) - rows[:, place]
        assert float(away.square().mean()) == pytest.approx(float(lost[place]))


def test_a_layer_that_is_worth_no_bit_is_its_mean() -> None:
    layer = calibration().layers[0]
    codec = Components(layer, torch.zeros(len(layer.mean), dtype=torch.int64), 64)
    rows = torch.randn(64, layer.heads, layer.key_dim)
    assert codec.encode(rows, rows, 0) == ()
    values = codec.decode((), [0, 64], rows)[1]
    assert torch.allclose(values[1, 5].flatten(), layer.mean[-values[0, 0].numel() :])


def test_pieces_that_do_not_follow_each_other_are_turned_each_at_its_place() -> None:
    layer = calibration().layers[0]
    codec = Components(layer, torch.full((len(layer.mean),), 16), 64)
    rows = torch.randn(64, layer.heads, layer.key_dim) * 0.1
    codes = [codec.encode(rows, rows, start) for start in (0, 128, 64)]
    found = codec.decode(tuple(map(torch.stack, zip(*codes, strict=True))), [0, 128, 64], rows)
    assert all(torch.allclose(piece, rows, atol=0.02) for piece in found[0])


def logits(spec: Any, ids: list[int]) -> torch.Tensor:
    session = Target(tiny_model()).session(spec)
    session.keep([-1], [0])
    with Float64Throughout():
        return session.forward([ids], [len(ids)])


def test_more_bits_are_nearer_and_fewer_bytes_than_plain_rounding_suffice(folder: str) -> None:
    ids = text(400, seed=7)
    exact = logits(Dense(), ids)
    away = [
        float((logits(Latent(folder, bits=bits, window=16), ids) - exact).square().mean()) for bits in (16, 6, 3, 1)
    ]
    assert away == sorted(away)
    assert away[0] < 1e-6 * float(exact.var())
    assert away[2] < float((logits(Quantised(2, window=16), ids) - exact).square().mean())


def test_the_law_of_approximate_caches(folder: str) -> None:
    model = tiny_model()
    target = Target(model)
    for spec in (Latent(folder, window=8), Latent(folder, bits=4, widths=(0, 16), window=1, first=0)):
        check_cache(lambda spec=spec: target.session(spec), model, exact=False, longest=90, vocab=256)


def test_a_calibration_comes_back_from_its_folder(folder: str) -> None:
    found, made = Calibration.load(folder), calibration()
    assert (found.identity, found.bits, found.ids, found.text) == (made.identity, 3.0, made.ids, "random ids")
    for one, other in zip(found.layers, made.layers, strict=True):
        assert torch.equal(one.encode, other.encode)
        assert one.rotation is not None
        assert other.rotation is not None
        assert torch.equal(one.rotation.angles, other.rotation.angles)


def test_another_model_is_refused_before_the_first_token(folder: str) -> None:
    host = Host(tiny_model(seed=1), None, plugins=[])
    with pytest.raises(IncompatibleParts, match="made for a model with other the weights") as caught:
        host.generate([1, 2, 3], cache={"name": "latent", "calibration": folder}, max_new_tokens=2)
    assert "decodeplug cache calibrate" in caught.value.instead
    assert host.generate([1, 2, 3], max_new_tokens=2).token_ids, "the host stays usable"


def test_a_model_of_which_only_some_weights_or_layers_are_others_is_refused(folder: str) -> None:
    changed, shorter = copy.deepcopy(tiny_model()), copy.deepcopy(tiny_model())
    with torch.no_grad():
        changed.model.layers[0].self_attn.k_proj.weight.mul_(1.1)
    del shorter.model.layers[1]
    shorter.config.num_hidden_layers = 1
    for model in (changed, shorter):
        with pytest.raises(IncompatibleParts, match="other weights or layers"):
            Host(model, None, plugins=[]).generate([1], cache=Latent(folder), max_new_tokens=1)


def test_a_new_calibration_in_the_same_folder_is_the_one_that_is_used(folder: str) -> None:
    host, spec = Host(tiny_model(), None, plugins=[]), Latent(folder, window=8)
    before = host.generate(text(100), cache=spec, max_new_tokens=1).trace.cache["coded_bytes"]
    replace(calibration(), bits=8.0).save(Path(folder))
    assert host.generate(text(100), cache=spec, max_new_tokens=1).trace.cache["coded_bytes"] > before


def test_a_folder_without_a_calibration_says_what_writes_one(tmp_path: Path) -> None:
    host = Host(tiny_model(), None, plugins=[])
    with pytest.raises(BadOption, match=r"`decodeplug cache calibrate` wrote"):
        host.generate([1], cache=Latent(str(tmp_path)), max_new_tokens=1)
    (tmp_path / FILE).write_bytes(b"nonsense")
    with pytest.raises(BadOption, match="cannot be read"):
        host.generate([1], cache=Latent(str(tmp_path)), max_new_tokens=1)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"bits": 0}, "more than 0"),
        ({"bits": "3"}, "a number, or None"),
        ({"widths": (0, 5)}, "some of 0, 1, 2"),
        ({"widths": (0,)}, "some of 0, 1, 2"),
        ({"window": 0}, "at least 1"),
        ({"first": 64}, "at most 63"),
    ],
)
def test_an_option_out_of_range_is_one_clear_error(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(BadOption, match=wanted):
        Latent("somewhere", **options)


def test_calibrating_says_what_it_needs_and_leaves_the_model_as_it_was() -> None:
    host = Host(tiny_model(), None, plugins=[])
    with pytest.raises(BadOption, match="at least 512 ids"):
        calibrate(host, [text(100)], source="")
    with pytest.raises(BadOption, match="at most 16"):
        calibrate(host, [text(4000)], bits=17, source="")
    with pytest.raises(UnsupportedModel, match="plain attention"):
        calibrate(Host(tiny_model("mamba"), None, plugins=[]), [text(4000)], source="")
    wanted = [weight.requires_grad for weight in host.model.parameters()]
    said: list[float] = []
    found = calibrate(host, [text(4000)], source="", tell=said.append, stop=lambda: True)
    assert len(said) == 1
    assert found.ids == 512
    assert [weight.requires_grad for weight in host.model.parameters()] == wanted
    assert all(weight.grad is None for weight in host.model.parameters())
