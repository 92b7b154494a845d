"""Which lanes are scored together, and where their rows are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from decodeplug.contracts import Rows
from decodeplug.lane import Job, Lane
from decodeplug.same import same
from decodeplug.values import Draft, LaneView

__all__ = ["Group", "grouped", "split"]


@dataclass(slots=True)
class Group:
    """Neighbouring lanes that are scored in one go, and where they and their rows begin.

    :ivar first_masked: Their first row among the masks; None for lanes without constraint.
    """

    lanes: Sequence[Lane]
    table: Rows
    first_lane: int
    first_row: int
    first_masked: int | None


def grouped(lanes: Sequence[Lane], views: Sequence[LaneView], drafts: Sequence[Draft]) -> list[Group]:
    """Put neighbours together that differ in nothing that scoring looks at."""
    groups: list[Group] = []
    start = row = masked = 0
    for end in range(1, len(lanes) + 1):
        if end < len(lanes) and _alike(lanes[start].job, lanes[end].job):
            continue
        table = Rows(views[start:end], drafts[start:end])
        constrained = lanes[start].job.constraint is not None
        groups.append(Group(lanes[start:end], table, start, row, masked if constrained else None))
        row += table.count
        masked += table.count if constrained else 0
        start = end
    return groups


def split(group: Group) -> list[Group]:
    """The group's lanes, job by job."""
    pieces: list[Group] = []
    start, row, masked = group.first_lane, group.first_row, group.first_masked
    entries = zip(group.lanes, group.table.lanes, group.table.drafts, strict=True)
    for _, run in itertools.groupby(entries, lambda entry: id(entry[0].job)):
        lanes, views, drafts = zip(*run, strict=True)
        table = Rows(views, drafts)
        pieces.append(Group(lanes, table, start, row, masked))
        start, row = start + len(lanes), row + table.count
        masked = None if masked is None else masked + table.count
    return pieces


def _alike(job: Job, other: Job) -> bool:
    return job is other or (
        same(job.plan.processors, other.plan.processors)
        and same(job.plan.selector, other.plan.selector)
        and (job.logprobs, job.top_logprobs, job.raw_logprobs)
        == (other.logprobs, other.top_logprobs, other.raw_logprobs)
        and (job.constraint is None) == (other.constraint is None)
    )
