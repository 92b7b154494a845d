"""What a paged cache knows of earlier texts: computed once, and never another model's."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from caches.paged_texts import fed, pages, prompt

from decodeplug.caches import Paged
from decodeplug.target import Target
from decodeplug.testing import Float64Throughout, tiny_model
from decodeplug.testing.families import family_model


def test_known_ids_are_not_computed_again_and_no_logit_changes() -> None:
    target, spec = Target(tiny_model()), Paged(4)
    first, known = fed(target.session(spec), prompt(30))
    assert known == 0
    again, known = fed(target.session(spec), prompt(30))
    assert known == 28
    assert (first - again).abs().max() < 1e-10
    longer, known = fed(target.session(spec), [*prompt(17), 9, 9, 9, 9])
    assert known == 16
    oracle = target.session("none")
    oracle.keep([-1], [0])
    with Float64Throughout():
        expected = oracle.forward([[*prompt(17), 9, 9, 9, 9]], [1])
    assert (longer - expected).abs().max() < 1e-10


def test_of_texts_that_begin_alike_one_is_fed_first() -> None:
    target, spec = Target(tiny_model()), Paged(4)
    session, oracle = target.session(spec), target.session("none")
    texts = [[*prompt(64), 5], [*prompt(64), 6, 7], prompt(9, 4), [*prompt(64), 8, 9, 10], prompt(12)]
    for one in (session, oracle):
        one.keep([-1] * 5, [0] * 5)
    with Float64Throughout():
        found, expected = session.forward(texts, [1, 2, 1, 1, 0]), oracle.forward(texts, [1, 2, 1, 1, 0])
    assert list(session.reused) == [0, 64, 0, 64, 0]
    assert (found - expected).abs().max() < 1e-10
    assert session.keep(range(5), [len(text) for text in texts]) == [len(text) for text in texts]


def test_a_prompt_in_pieces_goes_on_from_what_is_known_in_each() -> None:
    target, spec = Target(tiny_model()), Paged(4)
    fed(target.session(spec), prompt(64))
    session = target.session(spec)
    session.keep([-1], [0])
    assert session.forward([prompt(64)[:30]], [0]).shape[0] == 0
    assert list(session.reused) == [28]
    assert session.keep([0], [30]) == [30]
    with Float64Throughout():
        logits = session.forward([prompt(64)[30:]], [1])
        oracle = target.session("none")
        oracle.keep([-1], [0])
        assert (logits - oracle.forward([prompt(64)], [1])).abs().max() < 1e-10
    assert list(session.reused) == [30]


def test_all_ids_are_computed_where_somebody_wants_them() -> None:
    target, spec = Target(tiny_model()), Paged(4)
    fed(target.session(spec), prompt(30))
    session = target.session(spec)
    session.keep([-1], [0])
    session.forward([prompt(30)], [1], [0])
    assert list(session.reused) == [0]


def _change(model: Any, change: str) -> None:
    mlp = model.model.layers[0].mlp
    weight, forward = mlp.down_proj.weight, mlp.forward
    with torch.no_grad():
        if change == "in place":
            weight.mul_(1.5)
        elif change == "data":
            weight.data[1:] *= 1.5
        elif change == "other data":
            weight.data = torch.cat([weight.data[:1], weight.data[1:-1] * 1.5, weight.data[-1:]])
        elif change == "another weight":
            mlp.down_proj.weight = torch.nn.Parameter(weight * 1.5)
        elif change == "a hook":
            mlp.register_forward_hook(lambda module, args, output: output * 1.5)
        elif change == "a method":
            mlp.forward = lambda states: forward(states) * 1.5
        elif change == "an attribute":
            model.model.layers[0].self_attn.scaling *= 1.5


CHANGES = ["in place", "data", "other data", "another weight", "a hook", "a method", "an attribute"]


@pytest.mark.parametrize("open_again", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_what_another_model_computed_is_not_known(change: str, open_again: bool) -> None:
    model = copy.deepcopy(tiny_model())
    target, spec = Target(model), Paged(4)
    session = target.session(spec)
    fed(session, prompt(30))
    _change(model, change)
    logits, known = fed(target.session(spec) if open_again else session, prompt(30))
    oracle = target.session("none")
    oracle.keep([-1], [0])
    with Float64Throughout():
        assert known == 0
        assert (logits - oracle.forward([prompt(30)], [1])).abs().max() < 1e-10


def test_a_model_that_became_another_one_and_came_back_begins_anew() -> None:
    model = copy.deepcopy(tiny_model())
    target, spec = Target(model), Paged(4)
    session = target.session(spec)
    fed(session, prompt(30))
    hook = model.model.layers[0].mlp.register_forward_hook(lambda module, args, output: output * 1.5)
    fed(session, prompt(40, 4))
    hook.remove()
    assert [fed(target.session(spec), text)[1] for text in (prompt(40, 4), prompt(40, 4), prompt(30))] == [0, 36, 0]


def test_a_model_may_change_its_dtype() -> None:
    model = copy.deepcopy(tiny_model())
    target, spec = Target(model), Paged(4)
    fed(target.session(spec), prompt(30))
    model.float()
    session = target.session(spec)
    session.keep([-1], [0])
    assert session.forward([prompt(30)], [1]).dtype == torch.float32
    assert list(session.reused) == [0]


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_texts_whose_frequencies_follow_their_length_share_nothing(kind: str) -> None:
    size = family_model("llama").config.head_dim // 2
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * size, "long_factor": [4.0] * size, "original_max_position_embeddings": 32}
    target = Target(
        family_model("llama", rope_parameters=rope, max_position_embeddings=32 if kind == "dynamic" else 128)
    )
    assert not target.feeds_in_pieces(Paged(4))
    fed(target.session(Paged(4)), prompt(60))
    logits, known = fed(target.session(Paged(4)), prompt(20))
    oracle = target.session("none")
    oracle.keep([-1], [0])
    with Float64Throughout():
        assert (logits - oracle.forward([prompt(20)], [1])).abs().max() < 1e-10
    assert known == 0
    assert pages(target, Paged(4)).groups[None].pool.idle == 0


def test_a_session_is_opened_when_no_forward_touches_what_it_shares() -> None:
    target, spec = Target(tiny_model()), Paged(4)
    target.session(spec)
    opened = threading.Thread(target=target.session, args=[spec])
    with target.lock:
        opened.start()
        opened.join(0.2)
        assert opened.is_alive()
    opened.join()


def test_ids_that_were_used_longest_ago_are_forgotten_first() -> None:
    target = Target(tiny_model())
    fed(target.session(Paged(4)), prompt(4))
    spec = Paged(4, idle_bytes=8 * pages(target, Paged(4)).groups[None].block_bytes)
    for first in (3, 4, 5):
        session = target.session(spec)
        fed(session, prompt(20, first))  # five blocks, of which at most eight are kept
        session.keep([], [])
    assert pages(target, spec).groups[None].pool.idle <= 8
    assert [fed(target.session(spec), prompt(20, first))[1] for first in (5, 3)] == [16, 0]
