"""What a selector that chooses for all lanes of a job at once has chosen: checked, clipped, and who forks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from decodeplug.blame import blame, fail
from decodeplug.failure import PartFailure
from decodeplug.groups import Group
from decodeplug.rowfacts import Picked, Table
from decodeplug.score import near_tie_bound
from decodeplug.values import Extension

__all__ = ["pick"]


def pick(group: Group, table: Table, logits: Tensor) -> list[Picked]:
    """The extensions of the lanes of one job, in the order in which the selector gave them.

    None if the job failed, which then has its ``error``; or if the constraint refused one of them, which
    the group's ``outlook`` then tells.
    """
    job = group.lanes[0].job
    values, outlook, bound = table["values"], group.outlook, near_tie_bound(logits.dtype)
    assert outlook is not None
    extensions: list[Extension] = []
    picked: list[Picked] = []
    try:
        extensions = job.plan.selector.extend(table["candidates"], values, group.table)
        ranks = _checked(extensions, group, table)
        for extension, places in zip(extensions, ranks, strict=True):
            parent, tokens = extension.parent, extension.tokens
            clipped = outlook.clipped(parent, tokens)
            if clipped is not None:
                index = group.first_lane + parent
                picked.append(Picked(index, tokens, extension.rows, table, bound, extension, places, clipped))
    except PartFailure as failure:
        fail(job, failure.part, "advance" if failure.part is job.constraint else "clip", failure.cause)
    except Exception as error:
        fail(job, job.plan.selector, "extend", error)
    else:
        _blame_for_what_cannot_be_chosen(group, table, logits, extensions)
    if job.error is not None or len(picked) < len(extensions):
        return []
    continued: set[int] = set()
    for choice in reversed(picked):
        choice.forks = choice.parent in continued
        continued.add(choice.parent)
    return picked


def _blame_for_what_cannot_be_chosen(
    group: Group, table: Table, logits: Tensor, extensions: Sequence[Extension]
) -> None:
    """A lane that has nothing to go on with is dropped; no number, or no lane that goes on, is somebody's fault."""
    values = table["values"]
    for index, first in enumerate(group.table.first):
        if math.isnan(values[first][0]) or not extensions:
            blame(group.lanes[index], 0, logits[group.first_row + first], group.table.drafts[index])
            return
    for parent, _, rows, *_ in extensions:
        first = group.table.first[parent]
        for row in rows:
            if not math.isfinite(values[row][0]):
                blame(group.lanes[parent], row - first, logits[group.first_row + row], group.table.drafts[parent])
                return


def _checked(extensions: Sequence[Extension], group: Group, table: Table) -> list[list[int]]:
    """For each extension, the places of its tokens among the candidates of their rows.

    :raises ValueError: It is none of these lanes', or not what was proposed.
    """
    rows_of, candidates = group.table, table["candidates"]
    if not len(candidates) == len(table["values"]) == len(table["margins"]) == rows_of.count:
        raise ValueError(f"it proposed {len(candidates)} candidates for {rows_of.count} rows, or not as many values")
    if len({extension[:2] for extension in extensions}) < len(extensions):
        raise ValueError(f"it returned {len(extensions)} extensions, one of them twice")
    ranks: list[list[int]] = []
    for extension in extensions:
        parent, tokens, rows, *_ = extension
        if not 0 <= parent < len(group.lanes):
            raise ValueError(f"it returned {extension}, which belongs to none of the {len(group.lanes)} lanes")
        first, count, drafted = rows_of.first[parent], len(tokens), rows_of.drafts[parent].tokens
        if not 0 < count <= len(drafted) + 1 or rows != range(first, first + count):
            raise ValueError(f"it returned {extension}, which are not rows of that lane from {first} on")
        if tokens[:-1] != drafted[: count - 1]:
            raise ValueError(f"it returned {extension}, which goes on after a token that was not drafted")
        for token, row in zip(tokens, rows, strict=True):
            if token not in candidates[row]:
                raise ValueError(f"it returned {extension}, but did not propose {token} in row {row}")
        ranks.append([candidates[row].index(token) for token, row in zip(tokens, rows, strict=True)])
    return ranks
