"""The background thread of a host: submitted requests join its batch as soon as there is room."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from decodeplug.admission import Limits, Line
from decodeplug.errors import Cancelled
from decodeplug.result import Result
from decodeplug.submitted import Submitted

if TYPE_CHECKING:
    from decodeplug.fit import Ready
    from decodeplug.turn import Turn

__all__ = ["Scheduler"]

Loops = Callable[[Line, Limits], Generator[tuple["Turn | None", "list[Ready]"], None, None]]


class Scheduler:
    """Runs submitted requests in a thread of its own, which is there while there is something to do.

    :param loops: Runs the requests of a line. :param finished: Makes the result of one that is done.
    """

    def __init__(self, loops: Loops, finished: Callable[[Ready], Result]) -> None:
        self._loops, self._finished = loops, finished
        self._lock = threading.RLock()
        self._waiting: deque[tuple[Ready, Submitted]] = deque()
        self._running: dict[int, Submitted] = {}
        self._line = Line(self._take)
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, ready: Ready, limits: Limits) -> Submitted:
        """Put a request in the line."""
        submitted = Submitted(ready)
        with self._lock:
            self._waiting.append((ready, submitted))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, args=[limits], name="decodeplug", daemon=True)
                self._thread.start()
        return submitted

    def close(self) -> None:
        """End the thread; what has not finished is :class:`Cancelled`."""
        with self._lock:
            self._closed, thread = True, self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _take(self) -> Ready | None:
        with self._lock:
            if self._closed or not self._waiting:
                return None
            ready, submitted = self._waiting.popleft()
            self._running[id(ready)] = submitted
            return ready

    def _work(self, limits: Limits) -> None:
        while self._is_needed():
            try:
                self._run(limits)
            except BaseException as error:
                self._fail(error, self._closed)

    def _is_needed(self) -> bool:
        """Is there something to do? If not, the next request starts another thread."""
        with self._lock:
            if self._closed:
                self._fail(Cancelled("the host was closed"), everybody=True)
            elif self._line.first() is not None:
                return True
            self._thread = None
            return False

    def _run(self, limits: Limits) -> None:
        loops = self._loops(self._line, limits)
        try:
            for turn, ended in loops:
                if turn is not None:
                    for submitted in list(self._running.values()):
                        submitted.follow(turn)
                for ready in ended:
                    self._running[id(ready)].finish(self._finished(ready))
                    del self._running[id(ready)]
                if self._closed:
                    break
        finally:
            loops.close()

    def _fail(self, error: BaseException, everybody: bool) -> None:
        """Nobody who runs gets a result; ``everybody``: nor who waits."""
        with self._lock:
            first = None if everybody else self._line.looked_at
            waits = {} if first is None else {id(first): self._running[id(first)]}
            if not everybody and len(self._running) > len(waits):  # it had not begun, and others had
                for key in waits:
                    del self._running[key]
            else:
                waits = {}
                self._line.leave()
            submitted = list(self._running.values())
            self._running = waits
            if everybody:
                submitted += [handle for _, handle in self._waiting]
                self._waiting.clear()
        for handle in submitted:
            handle.fail(error)
