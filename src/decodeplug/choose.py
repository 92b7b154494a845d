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
from decodeplug.score import PartFailure, Scored, near_tie_bound, part_name, score
from decodeplug.values import Draft, Extension, LaneView, Seen
from decodeplug.walk import Masks

__all__ = ["Chosen", "RowFacts", "choose"]


@dataclass(slots=True)
class RowFacts:
    """What is known of one row after it was scored."""

    candidates: list[int]
    logprobs: list[float]
    near_tie: bool
    restored: int
    removed: dict[str, float]
    raw_logprobs: list[float] | None = None
    top: list[tuple[int, float]] | None = None


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
    outcomes: dict[int, Chosen] = {}
    pending = []
    for group in _groups(lanes, views, drafts):
        for piece in _scored(logits, group, filled):
            pending.append((piece[0], _facts_on_device(logits, *piece)))
    if pending:
        numbers = torch.cat([facts.flatten() for _, (facts, _) in pending]).tolist()  # the one transfer
        at = 0
        for group, (facts, names) in pending:
            count, width = facts.shape
            table = [numbers[at + row * width : at + (row + 1) * width] for row in range(count)]
            at += count * width
            _read(group, table, names, outcomes)
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
    return _Group([lane for lane, _, _ in members], [view for _, view, _ in members], [d for *_, d in members], row, masked)


def _group_key(lane: Lane) -> tuple[object, ...]:
    job = lane.job
    return (job.plan, job.top_logprobs, job.raw_logprobs, job.constraint is not None)


def _scored(logits: Tensor, group: _Group, filled: Masks | None) -> list[tuple[_Group, Scored, Tensor]]:
    """Score a group; if a part fails, job by job, so that only the guilty one fails."""
    plan = group.lanes[0].job.plan
    rows = slice(group.first_row, group.first_row + group.rows)
    mask = None
    if group.first_masked is not None:
        assert filled is not None
        mask = filled.table[group.first_masked : group.first_masked + group.rows]
    part: object = plan.selector
    try:
        scored = score(logits[rows], mask, plan.processors, _seen(group))
        return [(group, scored, plan.selector.propose(scored.scores, Rows(group.views, group.drafts)))]
    except PartFailure as failure:
        part, cause = failure.part, failure.cause
    except Exception as failure:
        cause = failure
    jobs = {id(lane.job): lane.job for lane in group.lanes}
    if len(jobs) == 1:
        fail(group.lanes[0].job, part, "scoring", cause)
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


def _facts_on_device(
    logits: Tensor, group: _Group, scored: Scored, candidates: Tensor
) -> tuple[Tensor, tuple[int, list[str]]]:
    """Everything the host wants to know of the rows, as one float64 table ``[rows, facts]``.

    float64 holds every id exactly. Columns: best score, near ties, restored, candidates,
    their log-probabilities, then raw ones, top ones and removed masses where wanted.
    """
    job = group.lanes[0].job
    scores = scored.scores
    best = scores.amax(-1, keepdim=True)
    logprobs = torch.log_softmax(scores, -1)
    close = (scores >= best - near_tie_bound(logits.dtype)).sum(-1, keepdim=True)
    restored = torch.zeros_like(close) if scored.restored is None else scored.restored[:, None]
    columns = [best, close, restored, candidates, logprobs.gather(-1, candidates)]
    if job.raw_logprobs:
        raw = torch.log_softmax(logits[group.first_row : group.first_row + group.rows].float(), -1)
        columns.append(raw.gather(-1, candidates))
    if job.top_logprobs:
        values, ids = logprobs.topk(job.top_logprobs, -1)
        columns += [ids, values]
    columns += [share[:, None] for share in scored.removed.values()]
    table = torch.cat([column.double() for column in columns], -1)
    return table, (candidates.shape[-1], list(scored.removed))


def _read(group: _Group, table: list[list[float]], names: tuple[int, list[str]], outcomes: dict[int, Chosen]) -> None:
    width, parts = names
    job = group.lanes[0].job
    facts = [_row_facts(row, width, parts, job) for row in table]
    rows = Rows(group.views, group.drafts)
    try:
        extensions = job.plan.selector.extend([row.candidates for row in facts], rows)
    except Exception as error:
        for lane in group.lanes:
            fail(lane.job, job.plan.selector, "extend", error)
        return
    for index, (lane, first, draft) in enumerate(zip(group.lanes, rows.first, group.drafts, strict=True)):
        own = [extension for extension in extensions if extension.parent == index]
        for row in (row for extension in own for row in extension.rows):
            best = table[row][0]
            if not -torch.inf < best < torch.inf:
                lane.job.error = lane.job.error or BadLogits(len(lane.ids) + row - first, because=_why_bad(best))
        shifted = [Extension(e.parent, e.tokens, tuple(row - first for row in e.rows)) for e in own]
        outcomes[id(lane)] = Chosen([] if lane.job.error else shifted, facts[first : first + len(draft) + 1])


def _row_facts(row: list[float], width: int, parts: list[str], job: Job) -> RowFacts:
    at = 3
    candidates = [int(value) for value in row[at : at + width]]
    logprobs = row[at + width : at + 2 * width]
    at += 2 * width
    facts = RowFacts(candidates, logprobs, row[1] > 1, int(row[2]), {})
    if job.raw_logprobs:
        facts.raw_logprobs, at = row[at : at + width], at + width
    if count := job.top_logprobs:
        ids, values = row[at : at + count], row[at + count : at + 2 * count]
        facts.top = [(int(i), value) for i, value in zip(ids, values, strict=True)]
        at += 2 * count
    facts.removed = dict(zip(parts, row[at:], strict=True))
    return facts


def _why_bad(best: float) -> str:
    if best == -torch.inf:
        return "every token is at -inf: the model, a processor or the constraint leaves nothing to choose"
    return "the scores are not finite (NaN or +inf), so the model or a processor is broken, or the dtype overflows"
