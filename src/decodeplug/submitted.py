"""A request that runs in the background, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from decodeplug.result import Chunk, Result
from decodeplug.stream import Writing

if TYPE_CHECKING:
    from decodeplug.fit import Ready
    from decodeplug.turn import Turn

__all__ = ["Submitted"]


class Submitted:
    """What ``host.submit`` returns. Iterate over its chunks, await it, or ask for its result.

    It runs whether it is read or not. Any number of threads and tasks may read it, each from its first chunk on.
    """

    def __init__(self, ready: Ready) -> None:
        self._job = ready.job
        self._writing = Writing(ready.job, waits=ready.panel is not None)
        self._future: Future[Result] = Future()
        self._chunks: list[Chunk] = []
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], object]] = []

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the whole result.

        :param timeout: Seconds to wait at most; None waits until it is there.
        :raises TimeoutError: It is not there yet; the request goes on.
        :raises DecodeplugError: The request failed.
        :raises Cancelled: The host was closed before its end.
        """
        return self._future.result(timeout)

    def done(self) -> bool:
        """Is the result there, or has it failed?"""
        return self._future.done()

    def cancel(self) -> None:
        """End the text with what it has, at its next turn; ``finish_reason`` is "cancelled"."""
        self._job.cancelled = True

    def __iter__(self) -> Iterator[Chunk]:
        index = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda index=index: len(self._chunks) > index or self.done())
                if len(self._chunks) <= index:
                    break
                chunk = self._chunks[index]
            yield chunk
            index += 1
        self.result()  # raises what it failed with

    def __await__(self) -> Generator[object, None, Result]:
        return self._awaited().__await__()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        index, loop = 0, asyncio.get_running_loop()
        while True:
            woken = asyncio.Event()
            with self._changed:
                new, over = self._chunks[index:], self.done()
                if not new and not over:
                    self._wakers.append(lambda woken=woken: loop.call_soon_threadsafe(woken.set))
            for chunk in new:
                yield chunk
            index += len(new)
            if not new:
                if over:
                    break
                await woken.wait()
        self.result()

    async def _awaited(self) -> Result:
        # Shielded: that a task stops waiting does not end the request.
        return await asyncio.shield(asyncio.wrap_future(self._future))

    def follow(self, turn: Turn) -> None:
        """Show what a turn added. For the thread that runs it."""
        chunk = self._writing.after(turn)
        if chunk is not None:
            with self._changed:
                self._chunks.append(chunk)
                self._wake()

    def finish(self, result: Result) -> None:
        """Give the result, or what it failed with. For the thread that runs it."""
        if result.error is not None:
            self.fail(result.error)
            return
        chunk = self._writing.last(result)
        with self._changed:
            self._chunks.append(chunk)
            self._future.set_result(result)
            self._wake()

    def fail(self, error: BaseException) -> None:
        """End without a result. For the thread that runs it."""
        with self._changed:
            if not self._future.done():
                self._future.set_exception(error)
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        wakers, self._wakers = self._wakers, []
        for wake in wakers:
            try:
                wake()
            except RuntimeError:  # its event loop was closed: nobody reads there any more
                continue
