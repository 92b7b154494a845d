"""The lanes of a job whose selector chooses for all of them at once: who has ended, and who stands where."""

from __future__ import annotations

from collections.abc import Sequence

from decodeplug.blame import blaming
from decodeplug.contracts import JointSelector
from decodeplug.lane import Job, Lane
from decodeplug.trace import Step
from decodeplug.values import Extension

__all__ = ["note", "settle"]


def note(lane: Lane, extension: Extension, step: Step) -> None:
    """What a lane takes from the extension that was just committed; one that has ended is kept."""
    lane.score = extension.score
    lane.sources += step.token_sources
    if lane.finish_reason is not None:
        lane.job.finished.append(lane)


def settle(
    job: Job, selector: JointSelector, first: int, parents: list[int], going: list[Lane], lengths: list[int]
) -> None:
    """Number the lanes of a job that go on, and end the search if it may end. Changes the three lists.

    :param first: Where its lanes begin among those that go on, best first. They are put in the order in
        which as few as possible are moved in the cache.
    """
    running = going[first:]
    for number, lane in enumerate(running):
        lane.hypothesis = number
    settled = False
    with blaming(job, selector, "worth"):
        job.finished.sort(
            key=lambda lane: selector.worth(lane.brief()), reverse=True
        )  # stable: the older of equals first
        del job.finished[selector.width :]
    with blaming(job, selector, "is_settled"):
        finished = [lane.brief() for lane in job.finished]
        settled = not running or bool(selector.is_settled([lane.brief() for lane in running], finished))
        if settled and not finished:
            raise ValueError("it ended the search before any hypothesis had ended")
    if settled or job.error is not None:
        del parents[first:], going[first:], lengths[first:]
        job.lanes = (job.finished if job.error is None or not running else running)[: job.returns]
        return
    job.lanes = running
    order = _places(parents[first:], first)
    parents[first:] = [parents[first + number] for number in order]
    going[first:] = [running[number] for number in order]
    lengths[first:] = [lengths[first + number] for number in order]


def _places(parents: Sequence[int], first: int) -> list[int]:
    """For each place from ``first`` on, which continuation stands there: one of the lane that stood there, if any."""
    places: list[int | None] = [None] * len(parents)
    moved: list[int] = []
    for number, parent in enumerate(parents):
        if 0 <= parent - first < len(places) and places[parent - first] is None:
            places[parent - first] = number
        else:
            moved.append(number)
    free = iter(moved)
    return [next(free) if number is None else number for number in places]
