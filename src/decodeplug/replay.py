"""Log-probabilities of a text that is known: decoded again, with every choice settled, in one forward where a draft may be long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from decodeplug.contracts import Proposal, Rows
from decodeplug.lane import Lane, Plan
from decodeplug.rules import Rules
from decodeplug.selectors.agreed import agreed
from decodeplug.trace import Trace
from decodeplug.values import Draft, Extension, LaneView

if TYPE_CHECKING:
    from decodeplug.fit import Ready

__all__ = ["replayed"]


def replayed(ready: Ready, lane: Lane) -> Ready:
    """A request that writes the new ids of a lane again, and reports their log-probabilities over whole masks.

    Prompt, processors and constraint are those of the request. Nobody is told of it: no inspectors, no trace.

    :param lane: One of the request's that has ended; not modified.
    """
    job, ids = ready.job, lane.new_ids
    again = replace(
        job,
        plan=Plan(job.plan.processors, _Settled(ids, takes_logprobs=job.plan.normalised)),
        rules=Rules(len(ids), job.end_ids),
        trace=Trace(seed=job.seed),
        drafter=_Known(ids),
        inspectors=(),
        logprobs=True,
        top_logprobs=0,
        raw_logprobs=False,
        reports_logprobs=True,
        finished=[],
        returns=1,
        deadline=None,
        error=None,
        cancelled=False,
    )
    state = None if job.constraint is None else job.constraint.start()
    again.lanes = [Lane(again, list(job.prompt), state=state, hypothesis=lane.hypothesis)]
    return replace(ready, job=again, panel=None)


@dataclass(frozen=True, slots=True)
class _Known:
    """Proposes what is known to follow."""

    ids: Sequence[int]
    name: ClassVar[str] = "known"
    prior: ClassVar[float] = 1.0

    def draft(self, lane: LaneView, room: int) -> Draft:
        written = len(lane.ids) - lane.prompt_length
        tokens = tuple(self.ids[written : written + room])
        return Draft(tokens, (self.name,) * len(tokens))


@dataclass(frozen=True, slots=True)
class _Settled:
    """Chooses what is known to follow, whatever its score."""

    ids: Sequence[int]
    takes_logprobs: bool
    name: ClassVar[str] = "settled"
    takes_drafts: ClassVar[bool] = True

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        chosen = [
            self.ids[min(len(lane.ids) - lane.prompt_length + offset, len(self.ids) - 1)]
            for lane, draft in zip(rows.lanes, rows.drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]
        candidates = torch.tensor(chosen)[:, None].to(scores.device, non_blocking=True)
        values = torch.zeros_like(candidates, dtype=scores.dtype)
        return Proposal(candidates, values, values[:, 0])

    def extend(
        self, candidates: Sequence[Sequence[int]], values: Sequence[Sequence[float]], rows: Rows
    ) -> list[Extension]:
        return agreed(candidates, rows)
