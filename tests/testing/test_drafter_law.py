"""``check_drafter`` lets sound drafters pass and names what is wrong with broken ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from drafters.other_ids import with_other_ids

from decodeplug import regex
from decodeplug.drafters import Assistant, Forced
from decodeplug.drawing import Drawing
from decodeplug.guide import Guide
from decodeplug.lane import Job, Plan
from decodeplug.rules import Rules
from decodeplug.selectors import Reject
from decodeplug.target import Target
from decodeplug.testing import byte_tokenizer, check_drafter, lane_views, like, tiny_model
from decodeplug.trace import Trace
from decodeplug.values import Draft, LaneView, Opening
from decodeplug.vocabulary import Vocabulary


class Repeats:
    """Proposes the last token again and again."""

    name: ClassVar[Any] = "repeats"
    prior: ClassVar[Any] = 0.5

    def draft(self, lane: LaneView, room: int) -> Any:
        return self.of([lane.ids[-1]] * min(room, 3))

    def of(self, tokens: Any) -> Draft:
        return Draft(tuple(tokens), (self.name,) * len(tokens))


class Nameless(Repeats):
    name = None


class Overconfident(Repeats):
    prior = 1.5


class TakesTooMuchRoom(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        return self.of([lane.ids[-1]] * max(room, 1))


class AppendsToTheLane(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        ids: Any = lane.ids
        ids.append(0)
        return super().draft(lane, room)


class WritesRecords(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        records: Any = lane.records
        records["repeats"] = 1
        return super().draft(lane, room)


class RollsDice(Repeats):
    def __init__(self) -> None:
        self.dice = torch.Generator().manual_seed(0)

    def draft(self, lane: LaneView, room: int) -> Draft:
        return self.of(torch.randint(64, (min(room, 3),), generator=self.dice).tolist())


class RemembersAnotherLane(Repeats):
    def __init__(self) -> None:
        self.last: list[int] = []

    def draft(self, lane: LaneView, room: int) -> Draft:
        before, self.last = self.last, list(lane.ids)
        return self.of(before[-1:] if room else [])


class OpensSoundly(Repeats):
    def open(self, request: Opening) -> Repeats:
        return Repeats()


class OpensTooSure(Repeats):
    def open(self, request: Opening) -> Repeats:
        return TakesTooMuchRoom()


class NeverForgets(Repeats):
    """Opened, it trusts that lanes only grow."""

    def open(self, request: Opening) -> Repeats:
        return _NeverForgets()


class _NeverForgets(Repeats):
    def __init__(self) -> None:
        self.known: list[int] = []

    def draft(self, lane: LaneView, room: int) -> Draft:
        self.known += lane.ids[len(self.known) :]
        return self.of(self.known[-1:] if room else [])


class DraftsTensors(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        return self.of(list(torch.tensor([lane.ids[-1]] * min(room, 1))))


class DraftsPaddedIds(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        return self.of([64] * min(room, 1))


class LosesSources(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        return Draft((1,) * min(room, 2), ("repeats",) * min(room, 1))


class ReturnsAList(Repeats):
    def draft(self, lane: LaneView, room: int) -> Any:
        return []


class SureOfOne(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        return replace(super().draft(lane, min(room, 3)), confidence=(0.5,))


class TooSure(Repeats):
    def draft(self, lane: LaneView, room: int) -> Draft:
        draft = super().draft(lane, room)
        return replace(draft, confidence=(1.01,) * len(draft))


class WithProbabilities(Repeats):
    """Right unless told otherwise: sure of its tokens."""

    def __init__(self, width: int = 64, mass: float = 1.0, shift: int = 0) -> None:
        self.width, self.mass, self.shift = width, mass, shift

    def draft(self, lane: LaneView, room: int) -> Draft:
        draft = super().draft(lane, room)
        table = torch.zeros(len(draft), self.width)
        for row, token in enumerate(draft.tokens):
            table[row, (token + self.shift) % self.width] = self.mass
        return Draft(draft.tokens, draft.sources, tuple(table))


@pytest.mark.parametrize("sound", [Repeats(), WithProbabilities(), OpensSoundly()])
def test_a_sound_drafter_passes(sound: Repeats) -> None:
    check_drafter(sound)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Nameless(), "does not declare its name"),
        (Overconfident(), "prior is 1.5"),
        (TakesTooMuchRoom(), "drafted 1 tokens where there was room for 0"),
        (AppendsToTheLane(), "modified the ids"),
        (WritesRecords(), "modified the records"),
        (RollsDice(), "and another time"),
        (RemembersAnotherLane(), "and another time"),
        (OpensTooSure(), "opened drafted 1 tokens where there was room for 0"),
        (NeverForgets(), "after other lanes of its request"),
        (DraftsTensors(), "which is no id below 64"),
        (DraftsPaddedIds(), "drafted 64, which is no id below 64"),
        (LosesSources(), "names 1 sources for 2 tokens"),
        (SureOfOne(), r"by \(0.5,\), not by a share"),
        (TooSure(), "not by a share in"),
        (ReturnsAList(), "returned list, not a Draft"),
        (WithProbabilities(width=65), r"is \[65\], not \[64\]"),
        (WithProbabilities(mass=0.5), "sum to 0.5"),
        (WithProbabilities(shift=1), "cannot have been drawn"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_drafter_is_named(broken: Repeats, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_drafter(broken)


@pytest.mark.parametrize("strange", [False, True])
def test_an_assistant_keeps_the_laws_of_a_drafter(strange: bool) -> None:
    tokenizer = byte_tokenizer()
    model = tiny_model(vocab=len(tokenizer))
    guide = with_other_ids(like(model, strength=0.3), tokenizer) if strange else like(model, strength=0.3)
    drafter = Assistant(Guide(guide, Target(model), tokenizer))
    assert drafter.guide.same_ids != strange
    lanes = [replace(lane, ids=[32 + token for token in lane.ids]) for lane in lane_views()]
    check_drafter(drafter, lanes, vocab=len(tokenizer), rooms=(0, 1, 5))
    assert all(len(drafter.draft(lane, 5)) > 0 for lane in lanes)


def test_an_assistant_that_draws_says_from_what() -> None:
    model = tiny_model(vocab=64)
    drafter = Assistant(Guide(like(model, strength=0.3), Target(model), None), num_tokens=3)
    job = Job([5, 6, 7], Plan((), Reject()), Rules(9), Trace(), 0, samples=True)
    lanes = [
        replace(lane, samples=True, wants_probabilities=True, draw=Drawing(job, lane.ids, lane.seed))
        for lane in lane_views()
    ]
    check_drafter(drafter, lanes)
    draft = drafter.draft(lanes[0], 3)
    assert draft.drawn == 3


def test_what_a_constraint_forces_keeps_the_laws_of_a_drafter() -> None:
    constraint = regex("ab(cde|fgh)ij").compile(Vocabulary(byte_tokenizer(), 259, {258}))
    lanes: list[LaneView] = []
    for text in ("", "a", "ab", "abf", "abfgh"):
        state = constraint.start()
        for byte in text.encode():
            state = constraint.advance(state, byte)
        lanes.append(LaneView([1, *text.encode()], 1, constraint=constraint, state=state))
    check_drafter(Forced(), lanes, vocab=259)
    assert [Forced().draft(lane, 16).tokens for lane in lanes] == [
        tuple(text) for text in (b"ab", b"b", b"", b"ghij", b"ij")
    ]
