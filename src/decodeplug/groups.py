"""Which lanes are scored together, and where their rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decodeplug.contracts import Rows
from decodeplug.lane import Job, Lane
from decodeplug.outlook import Outlook
from decodeplug.same import same
from decodeplug.values import Draft, LaneView

__all__ = ["Group", "grouped", "one_lane", "split"]


@dataclass(slots=True)
class Group:
    """Neighbouring lanes that are scored in one go, and where they and their rows begin.

    :ivar first_masked: Their first row among the masks; None for lanes without constraint.
    :ivar outlook: What becomes of their continuations, where their selector chooses for all of them at once.
    """

    lanes: Sequence[Lane]
    table: Rows
    first_lane: int
    first_row: int
    first_masked: int | None
    outlook: Outlook | None = None


def grouped(
    lanes: Sequence[Lane], views: Sequence[LaneView], drafts: Sequence[Draft], wants: Sequence[int]
) -> list[Group]:
    """Put neighbours together that differ in nothing that scoring looks at.

    :param wants: For each lane, how many rows it has: none are scored of one whose prompt is being fed.
    """
    groups: list[Group] = []
    start = row = masked = 0
    for end in range(1, len(lanes) + 1):
        if not wants[start]:
            start = end
            continue
        if end < len(lanes) and wants[end] and _alike(lanes[start].job, lanes[end].job):
            continue
        job, own = lanes[start].job, lanes[start:end]
        outlook = None if job.plan.joint is None else Outlook(own)
        if outlook is None:
            table = Rows(views[start:end], drafts[start:end])
        else:
            table = Rows(views[start:end], drafts[start:end], outlook.ends, [lane.brief() for lane in job.finished])
        constrained = job.constraint is not None
        groups.append(Group(own, table, start, row, masked if constrained else None, outlook))
        row += table.count
        masked += table.count if constrained else 0
        start = end
    return groups


def split(group: Group) -> list[Group]:
    """The group's lanes, one by one."""
    return [one_lane(group, index) for index in range(len(group.lanes))]


def one_lane(group: Group, index: int) -> Group:
    """One lane of a group, as a group of its own."""
    rows, first = group.table, group.table.first[index]
    return Group(
        group.lanes[index : index + 1],
        Rows(rows.lanes[index : index + 1], rows.drafts[index : index + 1]),
        group.first_lane + index,
        group.first_row + first,
        None if group.first_masked is None else group.first_masked + first,
    )


def _alike(job: Job, other: Job) -> bool:
    return job is other or (
        job.plan.joint is None
        and same(job.plan.processors, other.plan.processors)
        and same(job.plan.selector, other.plan.selector)
        and (job.logprobs, job.top_logprobs, job.raw_logprobs)
        == (other.logprobs, other.top_logprobs, other.raw_logprobs)
        and (job.constraint is None) == (other.constraint is None)
    )
