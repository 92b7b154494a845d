"""One run of the loop: jobs in, results out, turn by turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from decodeplug.admission import Admission
from decodeplug.batch import Batch
from decodeplug.blame import fail, named
from decodeplug.contracts import Intervention
from decodeplug.errors import DecodeplugError
from decodeplug.feeding import Feeding
from decodeplug.inference import inference
from decodeplug.lane import Job, Lane
from decodeplug.loop import decode
from decodeplug.result import Result
from decodeplug.score import part_name
from decodeplug.taps import HiddenTap, Taps
from decodeplug.target import SharedPrompts, next_hook, reading
from decodeplug.text import find_stop
from decodeplug.trace import Trace
from decodeplug.turn import Turn
from decodeplug.watching import Trail, watched_of

if TYPE_CHECKING:
    from decodeplug.fit import Ready
    from decodeplug.target import Target
    from decodeplug.walk import MaskFiller
    from decodeplug.widths import WidthCosts

Score = Callable[["Ready", Lane], list[float]]
"""Log-probabilities of what a lane of a request has written, as the request would have reported them."""

__all__ = ["failed_result", "intervening", "lane_text", "path_of", "result_of", "turns"]


def turns(
    target: Target, admission: Admission, *, lock: Any, filler: MaskFiller, costs: WidthCosts
) -> Generator[Turn, None, None]:
    """Run jobs to their end, one turn at a time; others join them as the admission lets them.

    The lock is held during a turn, not between two, so a stream that nobody reads does
    not stop other callers. Closing the iterator ends the run and frees the cache.
    """
    cache, interventions = admission.cache, admission.first.interventions
    session = SharedPrompts(target.session(cache, apart=bool(interventions)))
    admission.facts = session.facts
    feeding = Feeding(admission.limits.max_batch_tokens, lambda: target.feeds_in_pieces(cache))
    taps, hidden = Taps(), HiddenTap(target.module)
    session.watch(taps)
    read_hidden = partial(taps.of, hidden)
    batch = Batch(admission.joining, target, read_hidden, filler=filler, costs=costs, feeding=feeding)
    loop = decode(session, batch)
    try:
        while True:
            admission.refill()  # not under the lock: it may wait for whoever makes the requests
            for job in admission.joining:
                job.taps = taps
                for tap in [tap for _, tap in job.watchers] + [hidden] * job.needs_hidden:
                    taps.add(tap)
            with lock:
                turn = _next(loop, admission, target)
            if turn is None:
                break
            admission.note(turn.cache_bytes)
            if admission.inspected:
                _tell_inspectors(turn)
            yield turn
    finally:
        loop.close()
        session.keep([], [])  # also where it was stopped between: other runs share its memory


@inference
def _next(loop: Generator[Turn, None, None], admission: Admission, target: Target) -> Turn | None:
    inspected, interventions = admission.inspected, admission.first.interventions
    if not inspected and not interventions:
        return next(loop, None)
    jobs = [ready.job for ready in admission.running]
    with contextlib.ExitStack() as stack:
        if interventions:  # nobody else's forward may run in the changed model
            stack.enter_context(target.lock)
        for part in interventions:
            _open(stack, part, jobs, target.module)
        first = next_hook()
        for job in inspected:
            for part in job.inspectors if job.error is None else ():
                _open(stack, part, [job], target.model)
        with reading(first):
            return next(loop, None)


def _open(stack: contextlib.ExitStack, part: Any, jobs: Sequence[Job], model: Any) -> None:
    """Attach a part up to the end of the turn: between two, others may run the model. Jobs whose part fails end."""

    def close(*exception: Any) -> None:
        try:
            context.__exit__(None, None, None)
        except Exception as error:
            for job in jobs:
                fail(job, part, "attach", error)

    try:
        context = part.attach(model)
        context.__enter__()
    except Exception as error:
        for job in jobs:
            fail(job, part, "attach", error)
    else:
        stack.push(close)


@contextlib.contextmanager
def intervening(parts: Sequence[Intervention], model: Any) -> Generator[None, None, None]:
    """The model is what interventions make of it while this is open."""
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(part.attach(model))
        yield


@torch.inference_mode(False)  # what they do with a step is their own affair
def _tell_inspectors(turn: Turn) -> None:
    for job, step in turn.steps:
        for inspector in job.inspectors:
            try:
                inspector.step(step)
            except Exception as error:
                fail(job, inspector, "step", error)


def result_of(ready: Ready, score: Score) -> Result:
    """The result of a finished job; with ``error`` set if it failed.

    The text is decoded as a whole, checked against the constraint for the last time, and
    turned into the value.

    :param score: Computes log-probabilities that were not computed while decoding, when they are read.
    """
    job = ready.job
    panel, read = ready.panel, partial(path_of, ready, score)
    results = list(map(read, job.lanes)) if panel is None else panel.verdict(read)
    first = results[0]
    first.alternatives = results[1:]
    places = {result.hypothesis: place for place, result in enumerate(results)}
    _tell_watchers(
        job, job.lanes if panel is None else sorted(job.lanes, key=lambda lane: places.get(lane.hypothesis, 0))
    )
    reports = {}
    for inspector in job.inspectors:
        try:
            reports[part_name(inspector)] = inspector.report()
        except Exception as error:
            fail(job, inspector, "report", error)
    first.reports = reports
    judged = results if panel is None else results[:1]  # of several paths one that failed only has no say
    first.error = job.error or next((result.error for result in judged if result.error is not None), None)
    if first.error is not None:
        first.finish_reason = "error"
    return first


def _tell_watchers(job: Job, lanes: Sequence[Lane]) -> None:
    """Give inspectors what their taps saw of the lanes that are returned, the best first, and let go of it."""
    for inspector, tap in job.watchers if job.error is None else ():
        try:
            watched = watched_of(job, lanes, tap)
            if watched is not None:
                inspector.see(watched)  # pyright: ignore[reportAttributeAccessIssue]
        except Exception as error:
            fail(job, inspector, "see", error)
    job.fed = []
    for lane in (*job.lanes, *job.finished):
        lane.trail = Trail()


def failed_result(error: DecodeplugError) -> Result:
    """The result of a request that was refused before it could run."""
    return Result(text="", token_ids=[], finish_reason="error", trace=Trace(), error=error)


def path_of(ready: Ready, score: Score, lane: Lane) -> Result:
    """The result of one lane; its ``error`` is set if the text fails its final check."""
    job = ready.job
    text, cut = lane_text(lane)
    result = Result(
        text=text,
        token_ids=lane.new_ids,
        finish_reason=lane.finish_reason or "error",
        trace=job.trace,
        _logprobs=lane.logprobs if _are_reported(lane) else partial(score, ready, lane),
        top_logprobs=lane.top_logprobs if job.top_logprobs else None,
        raw_logprobs=lane.raw_logprobs if job.raw_logprobs else None,
        prompt_ids=job.prompt,
        hypothesis=lane.hypothesis,
    )
    joint, spec, call = job.plan.joint, ready.spec, ""
    part: Any = None
    try:
        if joint is not None and lane.finish_reason:
            part, call = joint, "worth"
            result.score = joint.worth(lane.brief())
        whole = job.error is None and not cut and lane.finish_reason in ("stop", "length")
        if whole and spec is not None and job.constraint is not None:
            part, call = job.constraint, "is_accepting"
            if job.constraint.is_accepting(lane.state):
                part, call = spec, "value"
                result.value = spec.value(result.text)
    except Exception as error:
        result.error = named(job, part, call, error)
    if result.tool_calls and result.finish_reason == "stop":
        result.finish_reason = "tool_calls"
    return result


def _are_reported(lane: Lane) -> bool:
    """Are the log-probabilities of a lane those of its ids? Not over a mask of which tokens would have been refused late."""
    job = lane.job
    too_wide = getattr(job.constraint, "refuses_late", False) and not job.wants_whole_masks
    return len(lane.logprobs) == len(lane.new_ids) and not too_wide


def lane_text(lane: Lane) -> tuple[str, bool]:
    """The text of a lane up to its first stop string, and whether there was one.

    Empty on a host without tokenizer.
    """
    rules, ids = lane.job.rules, lane.new_ids
    if rules.decode is None:
        return "", False
    text = rules.decode(ids[:-1] if ids and ids[-1] in lane.job.end_ids else ids)
    stop = find_stop(text, 0, rules.stops)
    return text[:stop], stop is not None
