"""What is learned and measured: which guesses count, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from decodeplug.heads import Heads, Row
from decodeplug.heads.batches import Batch, batch_of, indices_at
from decodeplug.heads.frozen import Frozen, Kept
from decodeplug.heads.learning import loss_of, measured
from decodeplug.heads.texts import rows_of
from decodeplug.target import Target
from decodeplug.testing import tiny_model

CPU = torch.device("cpu")


def test_every_row_comes_up_once_a_round_in_an_order_of_the_seed() -> None:
    first = [indices_at(step, 12, 4, seed=0) for step in range(3)]
    second = [indices_at(step, 12, 4, seed=0) for step in range(3, 6)]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(12))
    assert first != second
    assert first != [indices_at(step, 12, 4, seed=1) for step in range(3)]


def test_a_batch_is_no_larger_than_the_text() -> None:
    assert sorted(indices_at(5, 3, 8, seed=0)) == [0, 1, 2]


def test_a_guess_counts_up_to_the_end_of_its_row_and_never_in_the_prompt(kept: Kept) -> None:
    batch = batch_of(kept, [0, 1], CPU)
    short = batch._replace(lengths=torch.tensor([[44], [10]]))
    counts = short.counts(2)
    # At p the guess is of the token at p + 3, which the model chooses at p + 2: past the prompt of 4, before the end.
    assert counts[0].nonzero().flatten().tolist() == list(range(1, 41))
    assert counts[1].nonzero().flatten().tolist() == list(range(1, 7))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "mamba", "gemma3"])
def test_hidden_states_are_what_the_output_layer_is_given_and_best_is_what_is_chosen(kind: str) -> None:
    model: Any = tiny_model(kind)
    ids = torch.randint(0, 256, (1, 20), generator=torch.Generator().manual_seed(0))
    frozen = Frozen(Target(model))
    hidden = frozen.read(ids[0].tolist())
    best = frozen.chosen(hidden)
    with torch.inference_mode():
        logits = model(ids).logits[0]
        scores = model.get_output_embeddings().double()(hidden.double())
        assert torch.allclose(scores, logits.double(), atol=1e-4)  # mamba's logits are float32
    assert torch.equal(best, logits.argmax(-1))
    assert not hidden.is_inference()
    assert not model.get_decoder()._forward_hooks


def test_what_is_kept_is_what_was_computed(
    kept: Kept, model: Any, monkeypatch: pytest.MonkeyPatch, texts: list[Row]
) -> None:
    hidden, chosen = kept.hidden(3).clone(), kept.chosen(3).clone()
    for name in ("read", "chosen"):
        monkeypatch.setattr(kept._frozen, name, None)  # it must not be asked again
    assert torch.equal(hidden, kept.hidden(3))
    assert torch.equal(chosen, kept.chosen(3))
    assert torch.equal(hidden, Frozen(Target(model)).read(texts[3].ids))


def test_too_many_hidden_states_to_keep_are_computed_again(
    kept: Kept, model: Any, texts: list[Row], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decodeplug.heads.frozen.MOST_BYTES", 0)
    with Kept(Frozen(Target(model)), texts, tmp_path) as afresh:
        assert torch.equal(afresh.hidden(5), kept.hidden(5))
        assert torch.equal(afresh.chosen(5), kept.chosen(5))


def test_what_is_known_of_a_row_is_not_read(
    kept: Kept, model: Any, texts: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [replace(row, hidden=kept.hidden(index).clone()) for index, row in enumerate(texts)]
    mixed = [texts[0], *rows_of(known[1:3], 22), texts[3]]
    with Kept(Frozen(Target(model)), mixed, tmp_path) as some:
        for index, row in ((0, 0), (-1, 3)):
            assert torch.equal(some.hidden(range(len(mixed))[index]), kept.hidden(row))
        monkeypatch.setattr(some._frozen, "read", None)
        found = [some.hidden(index) for index in range(1, 5)]
        assert [len(one) for one in found] == [22] * 4
        assert torch.equal(torch.cat(found), torch.cat([kept.hidden(1), kept.hidden(2)]))
        assert torch.equal(some.chosen(1), kept.chosen(1)[:22])


def test_what_the_model_would_choose_is_only_asked_for_where_it_is_learned(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept.hidden(0).shape == kept.hidden(1).shape
    monkeypatch.setattr(kept._frozen, "chosen", None)
    assert not batch_of(kept, [0, 1], CPU, choices=False).best.numel()


def untrained(model: Any, kind: str, ids: torch.Tensor, count: int = 2) -> Heads:
    """Independent heads that say again what the model said: their guesses are known."""
    return Heads.new(model, kind, count, ids)


def test_acceptance_is_the_share_of_what_the_model_chooses(kept: Kept, model: Any) -> None:
    heads = untrained(model, "independent", torch.arange(model.config.vocab_size))
    batch = batch_of(kept, range(8), CPU)
    found = measured(heads, [batch])
    for ahead, acceptance in enumerate(found, start=1):
        places = range(3 - ahead, 43 - ahead)  # the guess at p is what the model chose there
        right = [int(row[p] == row[p + ahead]) for row in batch.best for p in places]
        assert acceptance.share == pytest.approx(sum(right) / len(right))
        assert acceptance.positions == len(right)
    both = [
        int(row[p] == row[p + 1] == row[p + 2])
        for row, ids in zip(batch.best, batch.ids, strict=True)
        for p in range(1, 41)
        if ids[p + 2] == row[p + 1]
    ]
    assert found[1].chained == pytest.approx(sum(both) / len(both))


def test_a_token_that_was_cut_away_is_never_right(kept: Kept, model: Any) -> None:
    batch = batch_of(kept, range(8), CPU)
    chosen = set(batch.best.flatten().tolist())
    others = [token for token in range(model.config.vocab_size) if token not in chosen]
    (acceptance,) = measured(untrained(model, "independent", torch.tensor(others), 1), [batch])
    assert acceptance.share == 0
    assert acceptance.positions > 0


@pytest.mark.parametrize("objective", ["distribution", "argmax"])
def test_the_loss_does_not_see_padding_or_prompts(kept: Kept, make_heads: Callable[..., Heads], objective: str) -> None:
    batch = batch_of(kept, [0, 1], CPU)
    padded = Batch(
        torch.nn.functional.pad(batch.ids, (0, 7), value=5),
        torch.nn.functional.pad(batch.hidden, (0, 0, 0, 7), value=2.0),
        torch.nn.functional.pad(batch.best, (0, 7), value=9),
        batch.starts,
        batch.lengths,
    )
    for kind in ("independent", "recurrent"):
        heads = make_heads(kind)
        assert loss_of(heads, padded, objective).item() == pytest.approx(loss_of(heads, batch, objective).item())


def test_a_batch_in_which_nothing_counts_costs_nothing(kept: Kept, make_heads: Callable[..., Heads]) -> None:
    batch = batch_of(kept, [0], CPU)._replace(starts=torch.tensor([[99]]))
    assert loss_of(make_heads("independent"), batch, "distribution").item() == 0
