"""Score and propose for all rows of a step, and read everything back in one transfer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.errors import BadLogits, DecodeplugError, PluginError, Unsatisfiable
from decodeplug.failure import PartFailure
from decodeplug.groups import Group, one_lane, split
from decodeplug.lane import Job, Lane
from decodeplug.rowfacts import Chosen, Columns, Table, columns_of, read_back
from decodeplug.score import Scored, near_tie_bound, part_name, score
from decodeplug.values import NOTHING_SEEN, Draft, Extension, Seen
from decodeplug.walk import Masks
from decodeplug.whole_masks import MaskNarrowing

__all__ = ["choose", "fail"]

_REFUSALS = 24  # tokens of one row that may be refused one by one


def choose(logits: Tensor, groups: Sequence[Group], lanes: int, filled: Masks | None) -> list[Chosen | None]:
    """Choose how every lane goes on; None for one whose job failed.

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
    outcomes: list[Chosen | None] = [None] * lanes
    refusals: Counter[int] = Counter()
    narrowing = None if filled is None else MaskNarrowing(filled)
    while groups:
        scored: list[Group] = []
        facts: list[Columns] = []
        for group in groups:
            _score(logits, group, filled, scored, facts, narrowing)
        for group, table in zip(scored, read_back(facts), strict=True):
            _decide(group, table, logits, outcomes)
        groups = () if filled is None else _refused(groups, filled, outcomes, refusals)
    return outcomes


def _refused(
    groups: Sequence[Group], filled: Masks, outcomes: list[Chosen | None], refusals: Counter[int]
) -> list[Group]:
    """The lanes whose choice their constraint refuses; the refused token leaves the mask, so that another is chosen.

    All that scoring does is done again then, so it is as if the token had never been allowed. After many refusals
    in a row of the table only what surely stands is left, where the constraint knows it.
    """
    again: list[Group] = []
    for group in groups:
        for index, lane in enumerate(group.lanes):
            choice = outcomes[group.first_lane + index]
            if choice is None or not getattr(lane.job.constraint, "refuses_late", False):
                continue
            offset, token = _stands(lane, choice.tokens)
            if offset is not None:
                single = one_lane(group, index)
                assert single.first_masked is not None
                row = single.first_masked + offset
                filled.table[row, token].fill_(False)  # an assignment would make a GPU wait for the False
                refusals[row] += 1
                if refusals[row] == _REFUSALS:
                    _leave_what_stands(lane, choice.tokens[:offset], filled.table[row])
                outcomes[single.first_lane] = None
                again.append(single)
    return again


def _leave_what_stands(lane: Lane, before: Sequence[int], mask: Tensor) -> None:
    """Narrow a mask to what surely stands, and the end where the text may end."""
    constraint: Any = lane.job.constraint
    surely = getattr(constraint, "surely", None)
    state = lane.state
    for token in before:
        state = constraint.advance(state, token)
    ids = () if surely is None else surely(state)
    if ids:
        ends = [token for token in lane.job.end_ids if constraint.is_accepting(state)]
        mask.fill_(False)
        mask[[*ids, *ends]] = True


def _stands(lane: Lane, tokens: Sequence[int]) -> tuple[int | None, int]:
    """Which token of a choice, if any, the constraint refuses although its mask allowed it."""
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
            return offset, token
    return None, 0


def fail(job: Job, part: object, call: str, cause: BaseException) -> None:
    """Record that a part failed; the job ends, the others go on."""
    error = cause if isinstance(cause, DecodeplugError) else PluginError(job.owner(part), part_name(part), call, cause)
    job.error = job.error or error


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
        scored = score(own, mask, job.plan.processors, seen)
        if mask is not None and job.wants_whole_masks:
            assert narrowing is not None
            while _narrowed(narrowing, group, scored):
                scored = score(own, mask, job.plan.processors, seen)
        proposal = job.plan.selector.propose(scored.scores, group.table)
        facts.append(
            columns_of(own, scored, proposal, logprobs=job.logprobs, top=job.top_logprobs, raw=job.raw_logprobs)
        )
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


def _decide(group: Group, table: Table, logits: Tensor, outcomes: list[Chosen | None]) -> None:
    """The plain half of selecting, and what becomes of it, lane by lane."""
    selector, values, bound = group.lanes[0].job.plan.selector, table["values"], near_tie_bound(logits.dtype)
    try:
        extensions = selector.extend(table["candidates"], group.table)
        _check(extensions, group, table)
    except Exception as error:
        for lane in group.lanes:
            fail(lane.job, selector, "extend", error)
        return
    for parent, tokens, rows in extensions:
        lane, first = group.lanes[parent], group.table.first[parent]
        for row in rows:
            if not math.isfinite(values[row][0]):
                _blame(lane, row - first, logits[group.first_row + row], group.table.drafts[parent])
        if lane.job.error is None:
            outcomes[group.first_lane + parent] = Chosen(tokens, rows, table, bound)


def _check(extensions: Sequence[Extension], group: Group, table: Table) -> None:
    """Refuse extensions that are none of these lanes', or not what was proposed.

    :raises ValueError: With the extension.
    """
    table_of, candidates = group.table, table["candidates"]
    if not len(candidates) == len(table["values"]) == len(table["margins"]) == table_of.count:
        raise ValueError(f"it proposed {len(candidates)} candidates for {table_of.count} rows, or not as many values")
    if len(extensions) > len(group.lanes) or len({extension.parent for extension in extensions}) < len(extensions):
        raise ValueError(f"it returned {len(extensions)} extensions for {len(group.lanes)} lanes, one lane twice")
    for extension in extensions:
        parent, tokens, rows = extension
        if not 0 <= parent < len(group.lanes):
            raise ValueError(f"it returned {extension}, which belongs to none of the {len(group.lanes)} lanes")
        first, count = table_of.first[parent], len(tokens)
        if not 0 < count <= len(table_of.drafts[parent].tokens) + 1 or rows != range(first, first + count):
            raise ValueError(f"it returned {extension}, which are not rows of that lane from {first} on")
        for token, row in zip(tokens, rows, strict=True):
            if token != candidates[row][0]:
                raise ValueError(f"it returned {extension}, but proposed {candidates[row][0]} first in row {row}")


def _blame(lane: Lane, offset: int, logits: Tensor, draft: Draft) -> None:
    """Whose fault is it that nothing can be chosen? The model's, a processor's, or the constraint's."""
    job, position = lane.job, len(lane.ids) + offset
    if not (logits < torch.inf).all():  # NaN compares false as well
        because = "the model gave NaN or +inf; its weights may be broken, or its dtype overflows"
        job.error = job.error or BadLogits(position, because=because)
        return
    if _is_dead_end(lane, draft.tokens[:offset]):
        because = f"after {position - job.prompt_length} tokens no id may follow, and the text may not end"
        job.error = job.error or Unsatisfiable(
            getattr(job.constraint, "kind", part_name(job.constraint)), because=because
        )
        return
    seen = Seen.of([[*lane.ids, *draft.tokens[:offset]]], [job.prompt_length])
    for count, part in enumerate(job.plan.processors, start=1):
        if not (score(logits[None], None, job.plan.processors[:count], seen).scores < torch.inf).all():
            fail(job, part, "scoring", ValueError("it gave NaN or +inf for finite scores"))
            return
    because = "every token is at -inf: the model, the constraint or a processor leaves nothing to choose"
    job.error = job.error or BadLogits(position, because=because)


def _is_dead_end(lane: Lane, tokens: Sequence[int]) -> bool:
    """Does the constraint itself leave nothing to choose after ``tokens``?"""
    constraint, state = lane.job.constraint, lane.state
    if constraint is None:
        return False
    try:
        for token in tokens:
            state = constraint.advance(state, token)
        return state is not None and not constraint.is_accepting(state) and not bool(constraint.allowed(state).any())
    except Exception:  # what it raises was recorded where the masks were filled
        return False
