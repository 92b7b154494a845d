"""Whose fault is it? A job that cannot go on ends with an error that names the part; the others are not touched."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from decodeplug.errors import BadLogits, DecodeplugError, PluginError, Unsatisfiable
from decodeplug.lane import Job, Lane
from decodeplug.score import part_name, score
from decodeplug.values import Draft, Seen

__all__ = ["blame", "blaming", "fail", "named"]


def fail(job: Job, part: object, call: str, cause: BaseException) -> None:
    """Record that a part failed; the job ends, the others go on."""
    job.error = job.error or named(job, part, call, cause)


def named(job: Job, part: object, call: str, cause: BaseException) -> DecodeplugError:
    """The failure of a part as an error that names it."""
    return cause if isinstance(cause, DecodeplugError) else PluginError(job.owner(part), part_name(part), call, cause)


@contextmanager
def blaming(job: Job, part: object, call: str) -> Generator[None]:
    """What is raised within is the failure of a part."""
    try:
        yield
    except Exception as error:
        fail(job, part, call, error)


def blame(lane: Lane, offset: int, logits: Tensor, draft: Draft) -> None:
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
        if not (
            score(logits[None], None, job.plan.processors[:count], seen, normalised=job.plan.normalised).scores
            < torch.inf
        ).all():
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
