"""Score and propose for all rows of a step, and read everything back in one transfer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from decodeplug.contracts import Rows
from decodeplug.errors import BadLogits, PluginError
from decodeplug.lane import Job, Lane
from decodeplug.rowfacts import Columns, RowFacts, columns_of, read_back, rows_of
from decodeplug.score import PartFailure, part_name, score
from decodeplug.values import Draft, Extension, LaneView, Seen
from decodeplug.walk import Masks

__all__ = ["Chosen", "choose", "fail"]


@dataclass(slots=True)
class Chosen:
    """The outcome of one lane: its extensions (none if its job failed), and its rows."""

    extensions: list[Extension]
    rows: list[RowFacts]


@dataclass(slots=True)
class _Group:
    """Neighbouring lanes that are scored in one go."""

    lanes: list[Lane]
    views: list[LaneView]
    drafts: list[Draft]
    first_row: int
    first_masked: int | None

    @property
    def rows(self) -> int:
        return sum(len(draft) + 1 for draft in self.drafts)


def choose(
    logits: Tensor,
    lanes: Sequence[Lane],
    views: Sequence[LaneView],
    drafts: Sequence[Draft],
    filled: Masks | None,
) -> list[Chosen]:
    """Choose for every lane.

    A part that fails, or logits that are no numbers, set ``job.error`` of their own job;
    its lanes get no extension, and the others are not touched.

    :param logits: ``[rows, vocab]``: for each lane ``len(draft) + 1`` rows.
    :param filled: The masks of the constrained rows, in the order of the rows.
    """
    for lane in lanes:
        if filled is not None and (cause := filled.errors.get(id(lane.job.constraint))) is not None:
            fail(lane.job, lane.job.constraint, "allowed", cause)
    pieces = [piece for group in _groups(lanes, views, drafts) for piece in _scored(logits, group, filled)]
    outcomes: dict[int, Chosen] = {}
    for (group, _), table in zip(pieces, read_back([columns for _, columns in pieces]), strict=True):
        _decide(group, rows_of(table), logits, outcomes)
    return [outcomes.get(id(lane), Chosen([], [])) for lane in lanes]


def fail(job: Job, part: object, call: str, cause: BaseException) -> None:
    """Record that a part failed; the job ends, the others go on."""
    job.error = job.error or PluginError(job.owner(part), part_name(part), call, cause)


def _groups(lanes: Sequence[Lane], views: Sequence[LaneView], drafts: Sequence[Draft]) -> list[_Group]:
    groups: list[_Group] = []
    row = masked = 0
    entries = zip(lanes, views, drafts, strict=True)
    for key, run in itertools.groupby(entries, lambda entry: _group_key(entry[0])):
        members = list(run)
        group = _group(members, row, masked if key[-1] else None)
        row += group.rows
        masked += group.rows if key[-1] else 0
        groups.append(group)
    return groups


def _group(members: list[tuple[Lane, LaneView, Draft]], row: int, masked: int | None) -> _Group:
    return _Group(
        [lane for lane, _, _ in members], [view for _, view, _ in members], [d for *_, d in members], row, masked
    )


def _group_key(lane: Lane) -> tuple[object, ...]:
    job = lane.job
    return (job.plan, job.top_logprobs, job.raw_logprobs, job.constraint is not None)


def _scored(logits: Tensor, group: _Group, filled: Masks | None) -> list[tuple[_Group, Columns]]:
    """Score a group; if a part fails, job by job, so that only the guilty one fails."""
    job = group.lanes[0].job
    own = logits[group.first_row : group.first_row + group.rows]
    mask = None
    if group.first_masked is not None:
        assert filled is not None
        mask = filled.table[group.first_masked : group.first_masked + group.rows]
    part: object = job.plan.selector
    try:
        scored = score(own, mask, job.plan.processors, _seen(group))
        proposal = job.plan.selector.propose(scored.scores, Rows(group.views, group.drafts))
        return [(group, columns_of(own, scored, proposal, top=job.top_logprobs, raw=job.raw_logprobs))]
    except PartFailure as failure:
        part, cause = failure.part, failure.cause
    except Exception as failure:
        cause = failure
    if len({id(lane.job) for lane in group.lanes}) == 1:
        fail(job, part, "scoring", cause)
        return []
    return [piece for single in _split(group) for piece in _scored(logits, single, filled)]


def _split(group: _Group) -> list[_Group]:
    pieces = []
    row, masked = group.first_row, group.first_masked
    entries = zip(group.lanes, group.views, group.drafts, strict=True)
    for _, run in itertools.groupby(entries, lambda entry: id(entry[0].job)):
        piece = _group(list(run), row, masked)
        row += piece.rows
        masked = None if masked is None else masked + piece.rows
        pieces.append(piece)
    return pieces


def _seen(group: _Group) -> Seen:
    def prefixes() -> list[list[int]]:
        return [
            [*lane.ids, *draft.tokens[:offset]]
            for lane, draft in zip(group.lanes, group.drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]

    lengths = [
        lane.job.prompt_length
        for lane, draft in zip(group.lanes, group.drafts, strict=True)
        for _ in range(len(draft) + 1)
    ]
    return Seen(prefixes, lengths)


def _decide(group: _Group, facts: list[RowFacts], logits: Tensor, outcomes: dict[int, Chosen]) -> None:
    """The plain half of selecting, and what becomes of it, lane by lane."""
    selector, rows = group.lanes[0].job.plan.selector, Rows(group.views, group.drafts)
    try:
        extensions = selector.extend([row.candidates for row in facts], rows)
    except Exception as error:
        for lane in group.lanes:
            fail(lane.job, selector, "extend", error)
        return
    for index, (lane, first, draft) in enumerate(zip(group.lanes, rows.first, group.drafts, strict=True)):
        own = [extension for extension in extensions if extension.parent == index]
        for row in (row for extension in own for row in extension.rows):
            if not -torch.inf < facts[row].best < torch.inf:
                _blame(lane, row - first, facts[row].best, logits[group.first_row + row], draft)
        shifted = [Extension(e.parent, e.tokens, tuple(row - first for row in e.rows)) for e in own]
        outcomes[id(lane)] = Chosen([] if lane.job.error else shifted, facts[first : first + len(draft) + 1])


def _blame(lane: Lane, offset: int, best: float, logits: Tensor, draft: Draft) -> None:
    """Whose fault is it that nothing can be chosen? The model's, a processor's, or the constraint's."""
    job, position = lane.job, len(lane.ids) + offset
    if not (logits < torch.inf).all():  # NaN compares false as well
        because = "the model gave NaN or +inf; its weights may be broken, or its dtype overflows"
        job.error = job.error or BadLogits(position, because=because)
        return
    seen = Seen.of([[*lane.ids, *draft.tokens[:offset]]], [job.prompt_length])
    for count, part in enumerate(job.plan.processors, start=1):
        if not (score(logits[None], None, job.plan.processors[:count], seen).scores < torch.inf).all():
            fail(job, part, "scoring", ValueError("it gave NaN or +inf for finite scores"))
            return
    because = "every token is at -inf: the constraint and the processors leave nothing to choose"
    job.error = job.error or BadLogits(position, because=because if best == -torch.inf else "the scores are not finite")
