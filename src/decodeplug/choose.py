"""Score and propose for all rows of a step, and read everything back in one transfer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from decodeplug.blame import blame, blaming, fail
from decodeplug.failure import PartFailure
from decodeplug.groups import Group, one_lane, split
from decodeplug.lane import Lane
from decodeplug.pick import pick
from decodeplug.rowfacts import Chosen, Columns, Table, columns_of, read_back
from decodeplug.score import Scored, near_tie_bound, score
from decodeplug.values import NOTHING_SEEN, Extension, Seen
from decodeplug.walk import Masks
from decodeplug.whole_masks import MaskNarrowing

__all__ = ["choose", "fail"]

_REFUSALS = 24  # tokens of one row that may be refused one by one


def choose(logits: Tensor, groups: Sequence[Group], lanes: int, filled: Masks | None) -> list[Chosen]:
    """Choose which lanes go on, and how: in their order, none of a job that failed.

    A part that fails, or logits that are no numbers, set ``job.error`` of their own job;
    its lanes get no extension, and the others are not touched.

    :param logits: ``[rows, vocab]``: for each lane ``len(draft) + 1`` rows.
    :param groups: The lanes as they are scored together. :param lanes: How many these are in all.
    :param filled: The masks of the constrained rows, in the order of the rows; moved to the device of the logits.
    """
    if filled is not None:
        # Sent by the thread that uses them: another one would send them on a stream of its own.
        filled.table = filled.table.to(logits.device, non_blocking=True)
    if filled is not None and filled.errors:
        for lane in (lane for group in groups for lane in group.lanes):
            if (cause := filled.errors.get(id(lane.job.constraint))) is not None:
                fail(lane.job, lane.job.constraint, "allowed", cause)
    outcomes: list[Sequence[Chosen]] = [()] * lanes
    refusals: dict[int, int] = {}
    narrowing = None if filled is None else MaskNarrowing(filled)
    while groups:
        scored: list[Group] = []
        facts: list[Columns] = []
        for group in groups:
            _score(logits, group, filled, scored, facts, narrowing)
        for group, table in zip(scored, read_back(facts), strict=True):
            _decide(group, table, logits, outcomes)
        groups = () if filled is None else _refused(groups, filled, outcomes, refusals)
    return [choice for choices in outcomes for choice in choices]


def _refused(
    groups: Sequence[Group], filled: Masks, outcomes: list[Sequence[Chosen]], refusals: dict[int, int]
) -> list[Group]:
    """The lanes whose choice their constraint refuses; the refused token leaves the mask, so that another is chosen.

    All that scoring does is done again then, so it is as if the token had never been allowed. After many refusals
    in a row of the table only what surely stands is left, where the constraint knows it.
    """
    again: list[Group] = []
    for group in groups:
        if group.outlook is not None:
            late = group.outlook.refused() if group.lanes[0].job.error is None else []
            for index, tokens in late:
                _forbid(group, index, tokens, filled, refusals)
            if late:
                outcomes[group.first_lane] = ()
                again.append(group)
            continue
        for index, lane in enumerate(group.lanes):
            choices = outcomes[group.first_lane + index]
            if not choices or not getattr(lane.job.constraint, "refuses_late", False):
                continue
            tokens = _until_refused(lane, choices[0].tokens)
            if tokens:
                _forbid(group, index, tokens, filled, refusals)
                outcomes[group.first_lane + index] = ()
                again.append(one_lane(group, index))
    return again


def _forbid(group: Group, index: int, tokens: Sequence[int], filled: Masks, refusals: dict[int, int]) -> None:
    """Take the last of these tokens out of the mask that allowed it."""
    assert group.first_masked is not None
    row = group.first_masked + group.table.first[index] + len(tokens) - 1
    filled.table[row, tokens[-1]].fill_(False)  # an assignment would make a GPU wait for the False
    refusals[row] = refusals.get(row, 0) + 1
    if refusals[row] == _REFUSALS:
        _leave_what_stands(group.lanes[index], tokens[:-1], filled.table[row])


def _leave_what_stands(lane: Lane, before: Sequence[int], mask: Tensor) -> None:
    """Narrow a mask to what surely stands, and the end where the text may end."""
    constraint: Any = lane.job.constraint
    surely = getattr(constraint, "surely", None)
    if surely is None:
        return
    state = lane.state
    with blaming(lane.job, constraint, "surely"):
        for token in before:
            state = constraint.advance(state, token)
        if ids := surely(state):
            ends = [token for token in lane.job.end_ids if constraint.is_accepting(state)]
            mask.fill_(False)
            mask[[*ids, *ends]] = True


def _until_refused(lane: Lane, tokens: Sequence[int]) -> Sequence[int]:
    """A choice up to the token, if any, that the constraint refuses although its mask allowed it; else nothing."""
    state, constraint = lane.state, lane.job.constraint
    assert constraint is not None
    for offset, token in enumerate(tokens):
        if token in lane.job.end_ids:
            break
        try:
            state = constraint.advance(state, token)
        except Exception as error:
            fail(lane.job, constraint, "advance", error)
            break
        if state is None:
            return tokens[: offset + 1]
    return ()


def _score(
    logits: Tensor,
    group: Group,
    filled: Masks | None,
    done: list[Group],
    facts: list[Columns],
    narrowing: MaskNarrowing | None,
) -> None:
    """Score a group, and add it and its facts to those that were; if a part fails, job by job."""
    job = group.lanes[0].job
    own, count = logits, group.table.count
    if count != logits.shape[0]:
        own = logits[group.first_row : group.first_row + count]
    mask = None
    if group.first_masked is not None:
        assert filled is not None
        mask = filled.table[group.first_masked : group.first_masked + count]
    part: object = job.plan.selector
    try:
        seen = _seen(group) if job.plan.processors else NOTHING_SEEN
        scored = score(own, mask, job.plan.processors, seen, normalised=job.plan.normalised)
        if mask is not None and job.wants_whole_masks:
            assert narrowing is not None
            while _narrowed(narrowing, group, scored):
                scored = score(own, mask, job.plan.processors, seen, normalised=job.plan.normalised)
        proposal = job.plan.selector.propose(scored.scores, group.table)
        wanted = {"logprobs": job.logprobs, "top": job.top_logprobs, "raw": job.raw_logprobs}
        facts.append(columns_of(own, scored, proposal, **wanted, joint=group.outlook is not None))
        done.append(group)
        return
    except PartFailure as failure:
        part, cause = failure.part, failure.cause
    except Exception as failure:
        cause = failure
    if len({id(lane.job) for lane in group.lanes}) == 1:
        fail(job, part, "scoring", cause)
        return
    for single in split(group):
        _score(logits, single, filled, done, facts, narrowing)


def _narrowed(narrowing: MaskNarrowing, group: Group, scored: Scored) -> bool:
    try:
        return narrowing.narrow(group, scored)
    except Exception as error:
        raise PartFailure(group.lanes[0].job.constraint, error) from error


def _seen(group: Group) -> Seen:
    def prefixes() -> list[list[int]]:
        return [
            [*lane.ids, *draft.tokens[:offset]]
            for lane, draft in zip(group.lanes, group.table.drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]

    lengths = [
        lane.job.prompt_length
        for lane, draft in zip(group.lanes, group.table.drafts, strict=True)
        for _ in range(len(draft) + 1)
    ]
    return Seen(prefixes, lengths)


def _decide(group: Group, table: Table, logits: Tensor, outcomes: list[Sequence[Chosen]]) -> None:
    """The plain half of selecting, and what becomes of it, lane by lane."""
    if group.outlook is not None:
        outcomes[group.first_lane] = pick(group, table, logits)
        return
    selector, values, bound = group.lanes[0].job.plan.selector, table["values"], near_tie_bound(logits.dtype)
    try:
        extensions = selector.extend(table["candidates"], values, group.table)
        _check(extensions, group, table)
    except Exception as error:
        for lane in group.lanes:
            fail(lane.job, selector, "extend", error)
        return
    for extension in extensions:
        parent, tokens, rows = extension[:3]
        lane, first = group.lanes[parent], group.table.first[parent]
        for row in rows:
            if not math.isfinite(values[row][0]):
                blame(lane, row - first, logits[group.first_row + row], group.table.drafts[parent])
        if lane.job.error is None:
            index = group.first_lane + parent
            outcomes[index] = (Chosen(index, tokens, rows, table, bound),)


def _check(extensions: Sequence[Extension], group: Group, table: Table) -> None:
    """Refuse extensions that are none of these lanes', or not what was proposed.

    :raises ValueError: With the extension.
    """
    table_of, candidates = group.table, table["candidates"]
    if not len(candidates) == len(table["values"]) == len(table["margins"]) == table_of.count:
        raise ValueError(f"it proposed {len(candidates)} candidates for {table_of.count} rows, or not as many values")
    if len(extensions) > 1 and len({extension.parent for extension in extensions}) < len(extensions):
        raise ValueError(f"it returned {len(extensions)} extensions for {len(group.lanes)} lanes, one lane twice")
    for extension in extensions:
        parent, tokens, rows = extension[:3]
        if not 0 <= parent < len(group.lanes):
            raise ValueError(f"it returned {extension}, which belongs to none of the {len(group.lanes)} lanes")
        first, count = table_of.first[parent], len(tokens)
        if not 0 < count <= len(table_of.drafts[parent].tokens) + 1 or rows != range(first, first + count):
            raise ValueError(f"it returned {extension}, which are not rows of that lane from {first} on")
        for row, token in enumerate(tokens, start=first):
            if token != candidates[row][0]:
                raise ValueError(f"it returned {extension}, but proposed {candidates[row][0]} first in row {row}")
