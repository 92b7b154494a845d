"""The cache of a drafting model holds what texts begin with, and nobody can confuse it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from decodeplug.drafters.prefixes import Prefixes, common_prefix

IDS = st.lists(st.integers(0, 2), max_size=12)


class Recording:
    """A session whose logits say what its lanes hold: the sum of the ids."""

    max_draft = None

    def __init__(self) -> None:
        self.lanes: list[list[int]] = []
        self.fed = 0

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        self.lanes = [
            [] if parent < 0 else self.lanes[parent][:length] for parent, length in zip(parents, lengths, strict=True)
        ]
        return [len(lane) for lane in self.lanes]

    def forward(self, feeds: Sequence[Sequence[int]], wants: Sequence[int]) -> torch.Tensor:
        for lane, feed in zip(self.lanes, feeds, strict=True):
            lane.extend(feed)
            self.fed += len(feed)
        return torch.tensor([[float(sum(lane))] for lane, want in zip(self.lanes, wants, strict=True) if want])

    def bytes(self) -> int:
        return 0


@given(IDS, IDS)
def test_the_common_prefix_is_as_long_as_it_can_be(one: list[int], other: list[int]) -> None:
    pairs = list(zip(one, other, strict=False))
    assert common_prefix(one, other) == next((at for at, (a, b) in enumerate(pairs) if a != b), len(pairs))


@given(st.lists(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), max_size=4), min_size=1, max_size=6))
def test_every_text_is_written_on_whatever_was_asked_before(turns: list[list[list[int]]]) -> None:
    session = Recording()
    prefixes = Prefixes(session)
    for texts in turns:
        prefixes.aim(texts)
        for written in ([], [7], [7, 8]):
            logits = prefixes.forward(dict.fromkeys(range(len(texts)), written))
            assert logits.flatten().tolist() == [float(sum(text) + sum(written)) for text in texts]


def test_a_text_that_went_on_is_fed_its_new_ids_only_also_after_turns_without_it() -> None:
    session = Recording()
    prefixes = Prefixes(session)
    prefixes.aim([[1] * 50, [2] * 50])
    prefixes.forward({0: [], 1: []})
    assert session.fed == 100
    prefixes.aim([[2] * 51])
    prefixes.forward({0: []})
    prefixes.aim([[1] * 52, [2] * 52])
    prefixes.forward({0: [], 1: []})
    assert session.fed == 104


def test_what_nobody_asks_for_is_let_go() -> None:
    session = Recording()
    prefixes = Prefixes(session)
    prefixes.aim([[1] * 50])
    prefixes.forward({0: []})
    for _ in range(70):
        prefixes.aim([[2, 2, 2]])
        prefixes.forward({0: []})
    assert session.lanes == [[2, 2, 2]]
