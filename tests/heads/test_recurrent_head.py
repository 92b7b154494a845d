"""The recurrent head: whole texts at once and token by token are the same numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from decodeplug.heads import Heads
from decodeplug.heads.layer import DecoderLayer
from decodeplug.heads.recurrent import RecurrentHead

MakeHeads = Callable[..., Heads]


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_all_drafts_of_a_text_at_once_are_what_is_drafted_one_by_one(make_heads: MakeHeads) -> None:
    part = make_heads("recurrent").part
    assert isinstance(part, RecurrentHead)
    hidden, embeddings = some(2, 9, 64), some(2, 9, 64, seed=1)
    at_once = part.foresee(hidden, embeddings, 4)
    for begin in range(5):  # the draft that begins at this position, with hidden states up to it
        positions = torch.arange(begin + 1)
        states, memory = part(hidden[:, : begin + 1], embeddings[:, 1 : begin + 2], positions)
        for depth in range(4):
            assert torch.allclose(states[:, -1], at_once[depth][:, begin], atol=1e-4), (begin, depth)
            at = begin + 1 + depth
            if depth < 3:
                states, memory = part(states[:, -1:], embeddings[:, at + 1 : at + 2], torch.tensor([at]), memory)


def test_thin_drafts_are_the_same_in_fewer_texts(make_heads: MakeHeads) -> None:
    part = make_heads("recurrent").part
    assert isinstance(part, RecurrentHead)
    hidden, embeddings = some(5, 9, 64), some(5, 9, 64, seed=1)
    full, thin = part.foresee(hidden, embeddings, 4), part.foresee(hidden, embeddings, 4, thin=True)
    assert [len(states) for states in thin] == [5, 2, 1, 1]
    for all_rows, some_rows in zip(full, thin, strict=True):
        assert torch.allclose(all_rows[: len(some_rows)], some_rows, atol=1e-4)


def test_new_positions_behind_a_memory_are_those_of_the_whole_text(make_heads: MakeHeads) -> None:
    part = make_heads("recurrent").part
    assert isinstance(part, RecurrentHead)
    hidden, embeddings, positions = some(1, 12, 64), some(1, 12, 64, seed=1), torch.arange(12)
    whole, held = part(hidden, embeddings, positions)
    _, memory = part(hidden[:, :7], embeddings[:, :7], positions[:7])
    rest, behind = part(hidden[:, 7:], embeddings[:, 7:], positions[7:], memory)
    assert torch.allclose(rest, whole[:, 7:], atol=1e-5)
    assert torch.allclose(behind.keys, held.keys, atol=1e-5)
    assert memory.keys.shape[2] == 7  # as it was


def test_an_output_depends_on_nothing_behind_it(make_heads: MakeHeads) -> None:
    part = make_heads("recurrent").part
    assert isinstance(part, RecurrentHead)
    hidden, embeddings = some(1, 10, 64), some(1, 10, 64, seed=1)
    changed = hidden.clone()
    changed[:, 6:] += 1
    before, after = part.foresee(hidden, embeddings, 3), part.foresee(changed, embeddings, 3)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one[:, :6], other[:, :6], atol=1e-5)
        assert not torch.allclose(one[:, 6], other[:, 6], atol=1e-3)


def test_before_anything_is_learned_the_output_is_an_echo_of_the_hidden_state() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        part = RecurrentHead(64, 64, scale=5.0)
    hidden = some(1, 8, 64)
    hidden = 5 * hidden / hidden.square().mean(-1, keepdim=True).sqrt()
    states, _ = part(hidden, some(1, 8, 64, seed=1), torch.arange(8))
    assert torch.nn.functional.cosine_similarity(states, hidden, dim=-1).min() > 0.9


def test_only_the_distance_of_positions_matters_to_the_layer() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = DecoderLayer(64, 2, 128)
        for weight in (layer.query_key_value.weight, layer.attended.weight):
            torch.nn.init.normal_(weight, std=0.3)
    states = some(1, 6, 64)
    layer.requires_grad_(False)
    near, _ = layer(states, torch.arange(6))
    far, _ = layer(states, torch.arange(6) + 500)
    stretched, _ = layer(states, torch.arange(6) * 3)
    assert float((near - far).abs().max()) < 1e-2
    assert float((near - stretched).abs().max()) > 0.5
