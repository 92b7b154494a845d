"""Runs requests: makes them jobs, drives the loop, announces events, collects results."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from decodeplug.admission import NO_LIMITS, Admission, Limits, Line
from decodeplug.discovery import Plugins
from decodeplug.errors import BadOption, Cancelled, DecodeplugError
from decodeplug.fit import Fit, Ready
from decodeplug.inflow import Inflow, checked
from decodeplug.lane import Lane
from decodeplug.precision import widest
from decodeplug.prompts import prompt_ids
from decodeplug.replay import replayed
from decodeplug.request import Request
from decodeplug.result import Result
from decodeplug.run import failed_result, intervening, path_of, result_of, turns
from decodeplug.scheduler import Scheduler
from decodeplug.stream import Stream
from decodeplug.submitted import Submitted
from decodeplug.target import Target
from decodeplug.turn import Turn
from decodeplug.users import Users
from decodeplug.walk import MaskFiller
from decodeplug.widths import WidthCosts

__all__ = ["Runner"]


class Runner:
    """What a host runs requests with. Thread-safe: the model sees one turn at a time.

    :param limits: How much is decoded at once when several requests are.
    """

    def __init__(self, target: Target, fit: Fit, plugins: Plugins, limits: Limits) -> None:
        self._target, self._fit, self._plugins, self._limits = target, fit, plugins, limits
        self._lock = threading.RLock()
        self._users = Users()
        self._filler, self._costs = MaskFiller(), WidthCosts(target.costs)
        self._scheduler = Scheduler(self._loops, self._finished)
        self._closed = False

    def one(self, request: Request) -> Result:
        """Run one request; it is alone in its batch.

        :raises DecodeplugError: It is refused, or fails.
        """
        return self._batch([request], NO_LIMITS, return_errors=False)[0]

    def batch(self, requests: Sequence[Request], *, return_errors: bool = False) -> list[Result]:
        """Run requests together, and return their results in order.

        :raises BadOption: Something else than a request is among them.
        :raises DecodeplugError: Unless ``return_errors``: the first error. What is refused is
            refused before anything runs; what fails later, when the others have finished.
        """
        return self._batch(requests, self._limits, return_errors=return_errors)

    def _batch(self, requests: Sequence[Request], limits: Limits, *, return_errors: bool) -> list[Result]:
        for request in requests:
            checked("generate_batch", request)
        outcomes = [self._ready(request, return_errors) for request in requests]
        waiting = _by_company([outcome for outcome in outcomes if isinstance(outcome, Ready)])
        found: dict[int, Result] = {}
        loops = self._loops(Line.of(waiting), limits)
        with torch.inference_mode(), contextlib.closing(loops):  # once for all turns
            for _, ended in loops:
                found.update((id(ready), self._finished(ready)) for ready in ended)
        results = [outcome if isinstance(outcome, Result) else found[id(outcome)] for outcome in outcomes]
        error = next((result.error for result in results if result.error is not None), None)
        if error is not None and not return_errors:
            raise error
        return results

    def run(
        self, requests: Iterable[Request], *, ordered: bool = True, return_errors: bool = False
    ) -> Generator[Result, None, None]:
        """Run requests as there is room for them, and yield their results.

        :raises DecodeplugError: Unless ``return_errors``: the first error, when those that had begun have finished.
        """
        inflow = Inflow(requests, self._fit, ordered=ordered, return_errors=return_errors)
        with contextlib.closing(self._loops(Line(inflow.take), self._limits)) as loops:
            for _, ended in loops:
                for ready in ended:
                    inflow.finish(ready, self._finished(ready))
                yield from inflow.due()
        yield from inflow.due()
        if inflow.error is not None:
            raise inflow.error

    def submit(self, request: Request) -> Submitted:
        """Check a request now, and let it join those that run in the background."""
        self._refuse_if_closed()
        return self._scheduler.submit(self._fit.ready(request, follows_text=True), self._limits)

    def stream(self, request: Request) -> Stream:
        """Check a request now, and run it as it is read."""
        ready = self._fit.ready(request, follows_text=True)

        def finish() -> Result:
            result = self._finished(ready)
            if result.error is not None:
                raise result.error
            return result

        return Stream(ready.job, self._turns_of(ready), finish, waits=ready.panel is not None)

    def _turns_of(self, ready: Ready) -> Generator[Turn, None, None]:
        """Those of one request; closing the iterator ends the request."""
        with contextlib.closing(self._loops(Line.of([ready]), NO_LIMITS)) as loops:
            for turn, _ in loops:
                if turn is not None:
                    yield turn

    def score(self, prompt: Any, continuation: Any, interventions: Sequence[Any] = ()) -> list[float]:
        """Log-probability of each token of a continuation."""
        parts = self._fit.interventions(interventions)
        fit = self._fit
        ids = prompt_ids(prompt, fit.tokenizer, self._target.vocab_size, {})
        if isinstance(continuation, str) and fit.tokenizer is not None:
            continuation = fit.tokenizer(continuation, add_special_tokens=False)["input_ids"]
        rest = prompt_ids(continuation, None, self._target.vocab_size, {})
        with self._lock, torch.inference_mode(), self._target.lock, intervening(parts, self._target.module):
            session = self._target.session("none")
            session.keep([-1], [0])
            logits = session.forward([[*ids, *rest[:-1]]], [len(rest)])
            scores = torch.log_softmax(logits.to(widest(logits.device)), -1)
            return scores.gather(-1, torch.tensor(rest, device=scores.device)[:, None])[:, 0].tolist()

    def _logprobs(self, ready: Ready, lane: Lane) -> list[float]:
        """Those of a lane that has ended, where they were not computed while decoding."""
        job = ready.job
        if not lane.new_ids:
            return []
        if job.constraint is None and not job.plan.processors and not self._target.can_rewind:
            return self.score(
                job.prompt, lane.new_ids, ready.interventions
            )  # in one forward, where a draft would have to be one id
        if job.constraint is not None:
            self._refuse_if_closed()  # who fills masks is gone
        again = replayed(ready, lane)
        admission = Admission(Line.of([again]), self._limits, Users(), lambda ready: None)
        for _ in turns(self._target, admission, lock=self._lock, filler=self._filler, costs=WidthCosts()):
            pass
        if again.job.error is not None:
            raise again.job.error
        return again.job.lanes[0].logprobs

    def close(self) -> None:
        self._closed = True
        self._scheduler.close()
        self._filler.close()
        self._fit.guessing.assistants.close()

    def _ready(self, request: Request, return_errors: bool) -> Ready | Result:
        try:
            return self._fit.ready(request)
        except DecodeplugError as error:
            if not return_errors:
                raise
            return failed_result(error)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BadOption("host", wanted="a host that was not closed")

    def _loops(self, line: Line, limits: Limits) -> Generator[tuple[Turn | None, list[Ready]], None, None]:
        """One loop after the other, each for requests with one cache, until nobody waits.

        :returns: After each turn, the turn, and those that are done with it.
        """
        self._refuse_if_closed()
        while line.first() is not None:
            yield from self._turns(Admission(line, limits, self._users, self._started))

    def _turns(self, admission: Admission) -> Generator[tuple[Turn | None, list[Ready]], None, None]:
        watched = self._plugins.implements("decodeplug_step")
        run = turns(self._target, admission, lock=self._lock, filler=self._filler, costs=self._costs)
        try:
            with contextlib.closing(run):
                for turn in run:
                    for ready in admission.running if watched else ():
                        for step in (step for job, step in turn.steps if job is ready.job):
                            self._announce(ready, "decodeplug_step", request=ready.request, step=step)
                    for ready, panel in admission.judged:
                        panel.follow(partial(path_of, ready, self._logprobs))
                    yield turn, admission.retire() if turn.ends or admission.over else []
        except BaseException as error:  # a stream that is closed, Ctrl-C, the model itself: nobody gets a result
            reason = error if isinstance(error, Exception) else Cancelled(type(error).__name__)
            for ready in admission.running:
                self._plugins.announce("decodeplug_request_failed", request=ready.request, error=reason)
            admission.retire(everybody=True)
            raise
        if ended := admission.retire(everybody=True):
            yield None, ended

    def _started(self, ready: Ready) -> None:
        self._announce(ready, "decodeplug_request_started", request=ready.request)

    def _announce(self, ready: Ready, hook: str, **values: Any) -> None:
        try:
            with torch.inference_mode(False):  # what hooks do is their own affair
                self._plugins.announce(hook, **values)
        except DecodeplugError as error:
            ready.job.error = ready.job.error or error

    @torch.inference_mode(False)  # what constraints, hooks and inspectors do with a result is their own affair
    def _finished(self, outcome: Ready) -> Result:
        result = result_of(outcome, self._logprobs)
        if result.error is None:
            try:
                self._plugins.announce("decodeplug_request_finished", request=outcome.request, result=result)
            except DecodeplugError as error:
                result.error, result.finish_reason = error, "error"
        else:
            self._plugins.announce("decodeplug_request_failed", request=outcome.request, error=result.error)
        return result


def _by_company(ready: Sequence[Ready]) -> list[Ready]:
    """Requests with equal caches and interventions, which run together, behind one another."""
    groups: list[list[Ready]] = []
    for item in ready:
        for group in groups:
            if group[0].runs_with(item):
                group.append(item)
                break
        else:
            groups.append([item])
    return [item for group in groups for item in group]
