"""Runs requests: makes them jobs, drives the loop, announces events, collects results."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import torch

from decodeplug.batch import Turn
from decodeplug.discovery import Plugins
from decodeplug.errors import BadOption, Cancelled, DecodeplugError
from decodeplug.fit import Fit, Ready
from decodeplug.precision import widest
from decodeplug.prompts import prompt_ids
from decodeplug.request import Request
from decodeplug.result import Result
from decodeplug.run import failed_result, path_of, result_of, turns
from decodeplug.same import same
from decodeplug.stream import Stream
from decodeplug.target import Target
from decodeplug.walk import MaskFiller
from decodeplug.widths import WidthCosts

__all__ = ["Runner"]


class Runner:
    """What a host runs requests with. Thread-safe: the model sees one turn at a time."""

    def __init__(self, target: Target, fit: Fit, plugins: Plugins) -> None:
        self._target, self._fit, self._plugins = target, fit, plugins
        self._lock = threading.RLock()
        self._filler, self._costs = MaskFiller(), WidthCosts()
        self._closed = False

    def batch(self, requests: Sequence[Request], *, return_errors: bool = False) -> list[Result]:
        """Run requests together, and return their results in order.

        :raises BadOption: Something else than a request is among them.
        :raises DecodeplugError: Unless ``return_errors``: the first error. What is refused is
            refused before anything runs; what fails later, when the others have finished.
        """
        for request in requests:
            if not isinstance(request, Request):
                raise BadOption("generate_batch", request=request, wanted="a list of Request(prompt, ...)")
        outcomes = [self._ready(request, return_errors) for request in requests]
        for cache, group in _by_cache([outcome for outcome in outcomes if isinstance(outcome, Ready)]):
            with torch.inference_mode():  # once for all turns
                for _ in self._turns(cache, group):
                    pass
        results = [self._finished(outcome) for outcome in outcomes]
        error = next((result.error for result in results if result.error is not None), None)
        if error is not None and not return_errors:
            raise error
        return results

    def stream(self, request: Request) -> Stream:
        """Check a request now, and run it as it is read."""
        ready = self._fit.ready(request, follows_text=True)

        def finish() -> Result:
            result = self._finished(ready)
            if result.error is not None:
                raise result.error
            return result

        return Stream(ready.job, self._turns(ready.cache, [ready]), finish, waits=ready.panel is not None)

    def score(self, prompt: Any, continuation: Any) -> list[float]:
        """Log-probability of each token of a continuation."""
        fit = self._fit
        ids = prompt_ids(prompt, fit.tokenizer, self._target.vocab_size, {})
        if isinstance(continuation, str) and fit.tokenizer is not None:
            continuation = fit.tokenizer(continuation, add_special_tokens=False)["input_ids"]
        rest = prompt_ids(continuation, None, self._target.vocab_size, {})
        with self._lock, torch.inference_mode():
            session = self._target.session("none")
            session.keep([-1], [0])
            logits = session.forward([[*ids, *rest[:-1]]], [len(rest)])
            scores = torch.log_softmax(logits.to(widest(logits.device)), -1)
            return scores.gather(-1, torch.tensor(rest, device=scores.device)[:, None])[:, 0].tolist()

    def close(self) -> None:
        self._closed = True
        self._filler.close()

    def _ready(self, request: Request, return_errors: bool) -> Ready | Result:
        try:
            return self._fit.ready(request)
        except DecodeplugError as error:
            if not return_errors:
                raise
            return failed_result(error)

    def _turns(self, cache: Any, group: Sequence[Ready]) -> Generator[Turn, None, None]:
        if self._closed:
            raise BadOption("host", wanted="a host that was not closed")
        for ready in group:
            self._announce(ready, "decodeplug_request_started", request=ready.request)
        watched = self._plugins.implements("decodeplug_step")
        jobs = [ready.job for ready in group]
        try:
            for turn in turns(self._target, cache, jobs, lock=self._lock, filler=self._filler, costs=self._costs):
                if watched:
                    for ready in group:
                        for step in (step for job, step in turn.steps if job is ready.job):
                            self._announce(ready, "decodeplug_step", request=ready.request, step=step)
                for ready in group:
                    if ready.panel is not None:
                        ready.panel.follow(partial(path_of, ready, self.score))
                yield turn
        except BaseException as error:  # a stream that is closed, Ctrl-C, the model itself: nobody gets a result
            reason = error if isinstance(error, Exception) else Cancelled(type(error).__name__)
            for ready in group:
                self._plugins.announce("decodeplug_request_failed", request=ready.request, error=reason)
            raise

    def _announce(self, ready: Ready, hook: str, **values: Any) -> None:
        try:
            with torch.inference_mode(False):  # what hooks do is their own affair
                self._plugins.announce(hook, **values)
        except DecodeplugError as error:
            ready.job.error = ready.job.error or error

    def _finished(self, outcome: Ready | Result) -> Result:
        if isinstance(outcome, Result):
            return outcome
        result = result_of(outcome, self.score)
        if result.error is None:
            try:
                self._plugins.announce("decodeplug_request_finished", request=outcome.request, result=result)
            except DecodeplugError as error:
                result.error, result.finish_reason = error, "error"
        else:
            self._plugins.announce("decodeplug_request_failed", request=outcome.request, error=result.error)
        return result


def _by_cache(ready: Sequence[Ready]) -> list[tuple[Any, list[Ready]]]:
    """Requests with equal caches run together."""
    groups: list[tuple[Any, list[Ready]]] = []
    for item in ready:
        for cache, group in groups:
            if same(cache, item.cache):
                group.append(item)
                break
        else:
            groups.append((item.cache, [item]))
    return groups
