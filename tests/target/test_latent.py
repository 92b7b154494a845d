"""Latent attention without expanding the history: exact wherever it is used, and used where it pays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from families.outcome import outcome_of
from torch import nn

from decodeplug.caches import absorbed
from decodeplug.caches.lazy import LazyRows
from decodeplug.target import Target, latent
from decodeplug.testing import Float64Throughout, check_cache, tiny_model
from decodeplug.testing.families import family_model

FAMILIES = ["deepseek_v2", "deepseek_v3", "deepseek_v32", "minicpm3", "longcat_flash", "kimi_linear", "youtu"]


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The widths that were attended so."""
    widths: list[int] = []
    attend = latent.Latents.attend

    def noted(self: Any, query: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        widths.append(query.shape[2])
        return attend(self, query, *args, **options)

    monkeypatch.setattr(latent.Latents, "attend", noted)
    return widths


@pytest.mark.parametrize("scores", [1 << 24, 50])
@pytest.mark.parametrize("cache", ["dense", "paged"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_gives_the_logits_of_generate_at_every_width(
    family: str, cache: str, scores: int, attended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent, "_pays", lambda *shapes: True)
    monkeypatch.setattr(absorbed, "_SCORES", scores)
    outcome = outcome_of(family, cache)
    assert outcome.wrong_rows == 0
    assert outcome.worst < 1e-10
    assert {1, 3} <= set(attended)


@pytest.mark.parametrize("cache", ["dense", "paged"])
def test_the_law_of_caches_holds(cache: str, attended: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent, "_pays", lambda *shapes: True)
    model = tiny_model("deepseek")
    check_cache(lambda: Target(model).session(cache), model, vocab=256)
    assert attended


def test_outputs_of_attention_are_those_of_expanded_keys() -> None:
    model, seen = family_model("deepseek_v3"), dict[bool, list[torch.Tensor]]()
    for absorbs in (False, True):
        seen[absorbs] = []
        hooks = [
            layer.self_attn.register_forward_hook(
                lambda module, args, output, into=seen[absorbs]: into.append(output[0])
            )
            for layer in model.model.layers
        ]
        latent_pays, latent._pays = latent._pays, lambda *shapes, absorbs=absorbs: absorbs
        session = Target(model).session()
        session.keep([-1, -1], [0, 0])
        with Float64Throughout():
            session.forward([list(range(3, 30)), list(range(5, 12))], [1, 1])
            session.keep([0, 1], [27, 7])
            session.forward([[7, 8, 9], [4]], [3, 1])
        latent._pays = latent_pays
        for hook in hooks:
            hook.remove()
    assert len(seen[True]) == len(seen[False]) > 0
    for ours, theirs in zip(seen[True], seen[False], strict=True):
        assert (ours - theirs).abs().max() < 1e-12


def test_it_pays_up_to_the_width_that_follows_from_the_shapes() -> None:
    """r(dn+dv) / ((2r+dr) - (dn+dr+dv)) new ids behind a long history: 170.7 for DeepSeek-V3."""
    module = SimpleNamespace(
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
        kv_b_proj=SimpleNamespace(weight=torch.empty(16 * 256, 512)),
    )
    assert [latent._pays(module, width, 10**9, 512) for width in (1, 170, 171)] == [True, True, False]
    assert not latent._pays(module, 64, 64, 512), "of a prompt all keys are new"


def test_nothing_is_changed_outside_a_forward_of_ours() -> None:
    model = family_model("deepseek_v3")
    Target(model)
    attention = model.model.layers[0].self_attn
    keys, values = attention.expand_kv(
        *(
            torch.ones(1, 1, 4, dim, dtype=torch.float64, device=model.device)
            for dim in (attention.kv_lora_rank, attention.qk_rope_head_dim)
        )
    )
    assert not isinstance(keys, LazyRows)
    assert not isinstance(values, LazyRows)


class Doubled(nn.Linear):
    """Not the product that its weights say."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(states)


@pytest.mark.parametrize("change", ["eager", "another layer", "a hook"])
def test_what_is_no_plain_product_is_left_to_the_model(
    change: str, attended: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent, "_pays", lambda *shapes: True)
    model = family_model("deepseek_v3")
    if change == "eager":
        model.set_attn_implementation("eager")
    for layer in model.model.layers:
        if change == "another layer":
            layer.self_attn.kv_b_proj.__class__ = Doubled
        if change == "a hook":
            layer.self_attn.kv_b_proj.register_forward_hook(lambda module, args, output: 2 * output)
    check_cache(lambda: Target(model).session(), model, vocab=256, steps=8)
    assert not attended
