"""The cache of inputs: exact, half the bytes, and refused where keys are not the product of one matrix."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from caches.stored_texts import goes_on_right, held
from families.outcome import outcome_of
from torch import Tensor

from decodeplug import Host
from decodeplug.caches.stored import Inputs, StoredLayer
from decodeplug.errors import IncompatibleParts
from decodeplug.target import Target, projections
from decodeplug.target.modelstate import model_state
from decodeplug.testing import Float64Throughout, bpe_tokenizer, check_cache, tiny_model
from decodeplug.testing.families import family_model

KINDS = ["gpt2", "bloom"]
"""Keys beside each other, and head by head beside their values; attention by "sdpa", and by the model itself."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_takes_half_the_bytes(kind: str) -> None:
    target = Target(tiny_model(kind))
    session, some = held(target, "stored-input", 40)
    assert all(type(layer) is StoredLayer for layer in session.cache.cache.layers)
    assert 2 * some == held(target, "dense", 40)[1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_no_cache(kind: str, seed: int) -> None:
    model = tiny_model(kind)
    target = Target(model)
    check_cache(lambda: target.session("stored-input"), model, seed=seed, longest=30, vocab=200)


@pytest.mark.parametrize("family", ["opt", "gpt_neo", "mpt", "whisper", "roberta"])
def test_other_families_give_the_logits_of_generate(family: str) -> None:
    outcome = outcome_of(family, "stored-input")
    assert (outcome.wrong_rows, outcome.worst < 1e-9) == (0, True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_attends_to_the_inputs_and_a_prompt_to_keys(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    attend = Inputs.attend

    def noted(self: Inputs, query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        widths.append(query.shape[2])
        return attend(self, query, *args, **kwargs)

    monkeypatch.setattr(Inputs, "attend", noted)
    target = Target(tiny_model("gpt2", dtype=dtype))
    session, dense = held(target, "stored-input", 30)[0], held(target, "dense", 30)[0]
    assert widths == []
    near = {"rtol": 0, "atol": 1e-4 if dtype == torch.float32 else 0.3}
    for feed in ([7], list(range(40))):
        found, expected = (one.forward([feed], [1]) for one in (session, dense))
        torch.testing.assert_close(found, expected, **near)
    assert widths == [1] * len(session.cache.cache.layers)  # forty new ids behind thirty are cheaper expanded


def clip_keys(model: Any) -> None:
    attention = type(model.transformer.h[0].attn)

    class Clipped(attention):
        def forward(self, hidden_states: Tensor, cache: Any = None, **kwargs: Any) -> Any:
            update = cache.update if cache is not None else None
            if update is not None:
                cache.update = lambda keys, *rest, **more: update(keys.clamp(-900, 900), *rest, **more)
            try:
                return super().forward(hidden_states, cache=cache, **kwargs)
            finally:
                if update is not None:
                    cache.update = update

    for block in model.transformer.h:
        block.attn.__class__ = Clipped


def hook_keys(model: Any) -> None:
    for block in model.transformer.h:
        block.attn.c_attn.register_forward_hook(lambda part, args, output: output * 1.5)


def adapt(model: Any) -> None:
    for block in model.transformer.h:
        block.attn.c_attn.__class__ = type("Adapted", (type(block.attn.c_attn),), {})


@pytest.mark.parametrize("change", [clip_keys, hook_keys, adapt])
def test_what_stands_between_the_matrix_and_the_keys_is_found(change: Any) -> None:
    """Clipping at 900 changes no key of this model: what it would do to others is seen by the numbers that are tried."""
    model = tiny_model("gpt2")
    change(model)
    target = Target(model)
    with pytest.raises(IncompatibleParts, match="no layer of it"):
        target.session("stored-input")
    check_cache(lambda: target.session("dense"), model, steps=4, vocab=200)


def test_a_hook_that_comes_later_is_found_and_forgotten_when_it_goes() -> None:
    model: Any = tiny_model("gpt2")
    target = Target(model)
    target.session("stored-input")
    handles = [
        block.attn.c_attn.register_forward_hook(lambda part, args, output: output * 1.5)
        for block in model.transformer.h
    ]
    with pytest.raises(IncompatibleParts, match="no layer of it"):
        target.session("stored-input")
    for handle in handles:
        handle.remove()
    check_cache(lambda: target.session("stored-input"), model, steps=4, vocab=200)


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gpt_bigcode", "qwen3_next", "mamba", "deepseek_v3"])
def test_rotated_or_shared_keys_are_refused_and_the_host_stays_usable(family: str) -> None:
    target = Target(family_model(family))
    with pytest.raises(IncompatibleParts, match=r"cache='dense' or cache='paged'"):
        target.session("stored-input")
    session = target.session()
    session.keep([-1], [0])
    assert session.forward([[5, 6, 7]], [1]).isfinite().all()


def test_measuring_leaves_the_model_and_the_random_numbers_as_they_are() -> None:
    model = tiny_model("gpt2")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    hooks = [len(part._forward_hooks) for part in model.modules()]
    state = torch.get_rng_state()
    held(Target(model), "stored-input", 3)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert [len(part._forward_hooks) for part in model.modules()] == hooks


def test_two_hosts_of_one_model_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Any] = []
    measure = projections.measure
    monkeypatch.setattr(projections, "measure", lambda *args: measured.append(args) or measure(*args))
    model = tiny_model("gpt2")
    first, second = Target(model), Target(model)
    session = held(first, "stored-input", 9)[0]
    for target in (second, first, second, first):
        held(target, "stored-input", 9)
    assert len(measured) == 2
    assert max(len(part._forward_hooks) for part in model.modules()) == 2
    del second
    with Float64Throughout():
        expected = held(first, "dense", 9)[0].forward([[7]], [1])
        torch.testing.assert_close(session.forward([[7]], [1]), expected, rtol=0, atol=1e-9)


def test_what_paged_knows_outlasts_the_measurement() -> None:
    model = tiny_model("gpt2")
    before = model_state(model)
    target = Target(model)
    held(target, "stored-input", 9)
    assert model_state(model) == before


def test_other_threads_never_see_the_numbers_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = tiny_model("gpt2")
    target = Target(model)
    ids = torch.tensor([[5, 6, 7]], device=model.device)
    expected = model(ids).logits
    found: list[Tensor] = []

    def meanwhile(*args: Any) -> None:
        if not found:
            thread = threading.Thread(target=lambda: found.append(model(ids).logits))
            found.append(expected)
            thread.start()
            thread.join()

    handle = model.transformer.h[1].ln_1.register_forward_pre_hook(meanwhile)
    target.session("stored-input")
    handle.remove()
    torch.testing.assert_close(found[1], expected)


def test_a_layer_that_is_called_twice_is_not_taken_for_its_first_call() -> None:
    part, given, out = torch.nn.Linear(4, 8).double(), torch.ones(1, 2, 4).double(), torch.randn(1, 2, 8).double()
    keys, values = (half.unflatten(-1, (2, 2)).transpose(1, 2) for half in out.chunk(2, -1))
    call, again = (projections._Call(part, given, given.clone(), some) for some in (out, out + 1))
    assert projections._projection([call], keys, values) is not None
    assert projections._projection([again, call], keys, values) is not None
    assert projections._projection([call, again], keys, values) is None


@pytest.mark.parametrize("cache", ["stored-input", "paged"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_memory_is_held_beside_what_is_said(kind: str, cache: str) -> None:
    """Also where a model has read keys as tensors, and of a prompt, whose keys came from the model."""
    session = held(Target(tiny_model(kind)), cache, 60)[0]
    for feed in ([7], list(range(40))):
        for layer in session.cache.cache.layers:
            shown = [layer.keys, layer.values]
            assert all(rows.shape[-2] >= 60 for rows in shown)
            assert all(rows.device.type == "meta" or rows._whole is None for rows in shown)
        session.forward([feed], [1])


def test_a_forward_that_fails_leaves_nothing_of_its_inputs_behind() -> None:
    model: Any = tiny_model("gpt2")
    target = Target(model)
    session = held(target, "stored-input", 9)[0]

    def fail(*args: Any) -> None:
        raise RuntimeError("no more")

    handle = model.transformer.h[1].mlp.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no more"):
        session.forward([[7]], [1])
    handle.remove()
    goes_on_right(target, session, 9)


def test_a_host_names_it_and_says_what_it_holds() -> None:
    tokenizer = bpe_tokenizer()
    with Host(tiny_model("gpt2", vocab=len(tokenizer)), tokenizer, plugins=[]) as host:
        dense, stored = (
            host.generate("The bear ", cache=name, max_new_tokens=8, end_ids=[]) for name in ("dense", "stored-input")
        )
        assert stored.token_ids == dense.token_ids
        assert 2 * stored.trace.cache["peak_bytes"] == dense.trace.cache["peak_bytes"]
