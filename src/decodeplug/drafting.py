"""What the drafters of all lanes propose in a turn, each asked for its own lane or one for many at once; and how they did."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from decodeplug.contracts import Ask, Drafter
from decodeplug.failure import PartFailure
from decodeplug.opened import answer_of, checked
from decodeplug.values import Draft, LaneView, Record

__all__ = ["drafts_of", "judged"]

_FORGET = 0.92  # per judged token: half of what is known is forgotten after about eight
_IDLE = 0.98  # per turn: what a drafter did long ago says little, so a bad one is tried again

Failed = Callable[[int, object, BaseException], None]
"""Told of a lane, the part that failed, and what it raised."""


def drafts_of(questions: Sequence[tuple[int, Drafter, LaneView, int]], failed: Failed) -> dict[int, Draft]:
    """The drafts of some lanes.

    :param questions: For each lane its number, its drafter, what may be known of it, and its room.
    :param failed: Called for a lane whose drafter failed; it has no draft then, and the others have theirs.
    :returns: Number of the lane -> its draft.
    """
    drafts: dict[int, Draft] = {}
    waiting: dict[int, tuple[_Asking, Ask]] = {}

    def go_on(lane: int, asking: _Asking, answer: Draft | None) -> None:
        """Ask on, until the lane has its draft or waits for a drafter that serves many."""
        try:
            ask = next(asking) if answer is None else asking.send(answer)
            while not hasattr(ask.drafter, "draft_all"):
                ask = asking.send(answer_of(ask))
            waiting[lane] = (asking, ask)
        except StopIteration as end:
            drafts[lane] = end.value
        except PartFailure as failure:
            failed(lane, failure.part, failure.cause)

    for lane, drafter, view, room in questions:
        go_on(lane, _asking(drafter, view, room), None)
    while waiting:
        drafter: Any = next(iter(waiting.values()))[1].drafter
        served = {lane: pair for lane, pair in waiting.items() if pair[1].drafter is drafter}
        for lane in served:
            del waiting[lane]
        try:
            asks = [(ask.lane, ask.room) for _, ask in served.values()]
            answers = list(drafter.draft_all(asks))
            if len(answers) != len(served):
                raise ValueError(f"it gave {len(answers)} drafts for {len(served)} lanes")
        except Exception as error:
            for lane in served:
                failed(lane, drafter, error)
            continue
        for (lane, (asking, _)), answer in zip(served.items(), answers, strict=True):
            try:
                draft = checked(answer)
            except Exception as error:
                failed(lane, drafter, error)
            else:
                go_on(lane, asking, draft)
    return drafts


_Asking = Generator[Ask, Draft, Draft]


def _asking(drafter: Any, view: LaneView, room: int) -> _Asking:
    return drafter.asks(view, room) if hasattr(drafter, "asks") else _only(drafter, view, room)


def _only(drafter: Drafter, view: LaneView, room: int) -> _Asking:
    """A drafter that is no chain: one question."""
    return (yield Ask(drafter, view, room))


def judged(
    records: Mapping[str, Record], draft: Draft, kept: int, ended: bool, spent: float | None = None
) -> Mapping[str, Record]:
    """How the drafters have done after one more draft.

    Only tokens up to the first wrong one were judged; where the lane ended, none was wrong.

    :param spent: What a forward as wide as the turn's costs, in forwards of width 1. What is more than one was for the
        width of the draft, and is shared out by the number of tokens. None: the turn was for a prompt, too.
    """
    sources, paid = draft.sources[: kept + (not ended)], dict[str, float]()
    for who, price in draft.paid:
        paid[who] = paid.get(who, 0.0) + price
    wider = 0.0 if spent is None else (spent - 1) / max(1, len(draft))
    after = {}
    for source in {**records, **dict.fromkeys(draft.sources), **paid}:
        before = records.get(source, Record())
        trials, hits, expected = before.trials * _IDLE, before.hits * _IDLE, before.expected * _IDLE
        for index, who in enumerate(sources):
            if who == source:
                hit, confidence = float(index < kept), draft.confidence_of(index)
                trials, hits = trials * _FORGET + 1, hits * _FORGET + hit
                expected = expected * _FORGET + (hit if confidence is None else confidence)
        drafted, right = draft.sources.count(source), draft.sources[:kept].count(source)
        saved = before.saved - paid.get(source, 0.0) + (0 if spent is None else right - wider * drafted)
        after[source] = Record(before.drafted + drafted, before.kept + right, trials, hits, expected, saved)
    return after
