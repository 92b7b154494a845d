"""Drafts put together keep the laws that their tokens were drawn from, and nothing that was drawn is cut off."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from decodeplug import Host, Request
from decodeplug.drafters import Assistant, Chain
from decodeplug.drafting import drafts_of
from decodeplug.testing import assert_follows, like, tiny_model
from decodeplug.values import Draft, LaneView
from decodeplug.widths import WidthCosts

LAW = torch.tensor([0.5, 0.5])
DRAWN = Draft((1,), ("a",), (LAW,))
PROPOSED = Draft((2, 3), ("b", "b"))


def test_laws_stay_with_their_tokens_however_drafts_are_put_together() -> None:
    whole = DRAWN + PROPOSED + DRAWN
    assert [whole.was_drawn(index) for index in range(4)] == [True, False, False, True]
    assert whole.drawn == 4
    assert [(PROPOSED + DRAWN).was_drawn(index) for index in range(3)] == [False, False, True]
    assert (DRAWN + PROPOSED).drawn == 1
    assert (PROPOSED + PROPOSED).probabilities == ()


@dataclass
class Draws:
    """Draws as many tokens as it is asked for, but stops behind a 0."""

    tokens: tuple[int, ...]
    name: ClassVar[str] = "draws"
    prior: ClassVar[float] = 0.8

    def price(self, lane: LaneView) -> float:
        return 0.02

    def draft(self, lane: LaneView, room: int) -> Draft:
        tokens = self.tokens[:room]
        return Draft(tokens, (self.name,) * len(tokens), (LAW,) * len(tokens))


@pytest.mark.parametrize("count", range(1, 9))
def test_what_was_drawn_is_not_cut_however_long_it_turned_out(count: int) -> None:
    lane = LaneView([1, 2, 3], 3, cost=WidthCosts().relative)
    whole = Chain([Draws((7,) * 20)]).draft(lane, 20)
    assert len(Chain([Draws((7,) * count)]).draft(lane, 20)) == min(count, len(whole))


def test_rejection_with_a_length_that_is_chosen_follows_the_law_where_texts_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An assistant that ends early must not have its last token dropped for being one too many."""
    monkeypatch.setattr(Assistant, "price", lambda self, lane: 0.02)  # one as large as its model would not be asked
    monkeypatch.setattr(WidthCosts, "relative", lambda self, width, lanes=1: 1.0 if width == 1 else 2.0)
    model = tiny_model(vocab=8)
    with torch.no_grad():  # the end is likely everywhere
        model.get_output_embeddings().weight.mul_(0.3)
    assistant, runs, prompt, most = like(model, strength=0.5), 1500, [1, 2], 6
    requests = [
        Request(
            prompt, do_sample=True, max_new_tokens=most, seed=seed, assistant=assistant, strategy="speculative",
            acceptance="rejection",
        )
        for seed in range(runs)
    ]  # fmt: skip
    with Host(model, None, plugins=[], max_batch=100) as host:
        end = next(iter(host.end_ids))
        results = list(host.run(requests))
    steps = [step for result in results for step in result.trace.steps]
    assert len({len(step.drafted) for step in steps}) > 2, "the length is chosen"
    assert sum(step.rejected for step in steps) > runs / 10
    counts = Counter(len(result.token_ids) for result in results)
    assert_follows([counts[length] for length in range(1, most + 1)], law_of_lengths(model, prompt, most, end))


@torch.no_grad()
def law_of_lengths(model: Any, prompt: list[int], most: int, end: int) -> list[float]:
    """How probable it is that a text ends with its first, second ... token, and at the latest with the last of ``most``."""
    texts, shares, law = torch.tensor([prompt], device=model.device), torch.ones(1, device=model.device), list[float]()
    for _ in range(most - 1):
        after = shares[:, None] * model(texts).logits[:, -1].float().softmax(-1)
        law.append(float(after[:, end].sum()))
        others = [token for token in range(after.shape[1]) if token != end]
        texts = torch.cat([torch.cat([texts, torch.full_like(texts[:, :1], token)], 1) for token in others])
        shares = torch.cat([after[:, token] for token in others])
    return [*law, 1 - sum(law)]


@dataclass(eq=False)
class SaysToAll:
    """Drafts what it was given, for several lanes at once."""

    answers: list[Draft]
    name: ClassVar[str] = "says"
    prior: ClassVar[float] = 0.8

    def draft_all(self, asks: Any) -> list[Draft]:
        return self.answers


def test_one_answer_of_several_that_is_no_draft_fails_its_own_lane_alone() -> None:
    right = Draft((4,), ("says",))
    drafter = SaysToAll([right, Draft((4, 5), ("says",)), right])
    failures: list[tuple[int, object, str]] = []
    drafts = drafts_of(
        [(lane, drafter, LaneView([1, 2, 3], 3), 4) for lane in (3, 5, 8)],
        lambda lane, part, cause: failures.append((lane, part, str(cause))),
    )
    assert drafts == {3: right, 8: right}
    assert failures == [(5, drafter, "named 1 sources for 2 tokens")]
