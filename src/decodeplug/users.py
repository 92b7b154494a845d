"""Who uses which drafter, over all runs of a host: one that nobody uses any more lets go of what it remembers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from decodeplug.blame import fail
from decodeplug.lane import Job

__all__ = ["Users", "drafters_of"]


class Users:
    """Counts the requests that draft with each drafter. Thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._lock = threading.Lock()

    def enter(self, job: Job) -> None:
        """A request begins."""
        with self._lock:
            self._counts.update(map(id, drafters_of(job.drafter)))

    def leave(self, job: Job) -> None:
        """A request is over: drafters that it was the last to use are closed. One that fails to is named in it."""
        for drafter in drafters_of(job.drafter):
            with self._lock:
                self._counts[id(drafter)] -= 1
                last = self._counts[id(drafter)] <= 0
                if last:
                    del self._counts[id(drafter)]
            if last and hasattr(drafter, "close"):
                try:
                    drafter.close()
                except Exception as error:
                    fail(job, drafter, "close", error)


def drafters_of(drafter: Any) -> Iterator[Any]:
    """The drafter, or those that a chain is made of."""
    if drafter is None:
        return
    parts = getattr(drafter, "drafters", None)
    if parts is None:
        yield drafter
        return
    for part in parts:
        yield from drafters_of(part)
