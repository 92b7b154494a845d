"""Requests of any iterable, made ready one by one as there is room, and their results in order or as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from decodeplug.errors import BadOption, DecodeplugError
from decodeplug.request import Request
from decodeplug.result import Result
from decodeplug.run import failed_result

if TYPE_CHECKING:
    from decodeplug.fit import Fit, Ready

__all__ = ["Inflow", "checked"]

_MOST_WAITING = 256  # results that wait for one before them, until no further request is begun


def checked(caller: str, request: Request) -> Request:
    """Return what was given, if it is a request.

    :raises BadOption: It is something else.
    """
    if not isinstance(request, Request):
        raise BadOption(caller, request=request, wanted="a list of Request(prompt, ...)")
    return request


class Inflow:
    """The requests of one call of ``run``.

    :param ordered: Give results in the order of the requests.
    :param return_errors: A request that is refused or fails has a result with ``error`` set. Without it nothing is
        taken after the first error, which is kept in ``error``, and only results without one are given.
    """

    def __init__(self, requests: Iterable[Request], fit: Fit, *, ordered: bool, return_errors: bool) -> None:
        self._requests: Iterator[Request] | None = iter(requests)
        self._fit, self._ordered, self._return_errors = fit, ordered, return_errors
        self._numbers: dict[int, int] = {}
        self._results: dict[int, Result] = {}
        self._taken = self._given = 0
        self.error: BaseException | None = None

    def take(self) -> Ready | None:
        """The next request that can run; None if there is none, or too many results wait for an earlier one."""
        while self._requests is not None and not self._wait():
            try:
                request = next(self._requests)
            except StopIteration:
                self._requests = None
                break
            except Exception as error:  # of the caller's own iterable: what runs shall finish first
                self._stop(error)
                break
            number, self._taken = self._taken, self._taken + 1
            try:
                ready = self._fit.ready(checked("run", request))
            except DecodeplugError as error:
                self._note(number, failed_result(error))
                continue
            self._numbers[id(ready)] = number
            return ready
        return None

    def _wait(self) -> bool:
        """Do many results wait for one that is not there yet?"""
        return self._ordered and self._given not in self._results and len(self._results) >= _MOST_WAITING

    def finish(self, ready: Ready, result: Result) -> None:
        """Take the result of a request that ran."""
        self._note(self._numbers.pop(id(ready)), result)

    def due(self) -> Iterator[Result]:
        """Results that may be given now."""
        while self._results:
            number = self._given if self._ordered else next(iter(self._results))
            if number not in self._results:
                return
            self._given += 1
            result = self._results.pop(number)
            if result.error is None or self._return_errors:
                yield result

    def _note(self, number: int, result: Result) -> None:
        self._results[number] = result
        if result.error is not None and not self._return_errors:
            self._stop(result.error)

    def _stop(self, error: BaseException) -> None:
        self.error = self.error or error
        self._requests = None
