"""A text while it is being written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from decodeplug.errors import Cancelled
from decodeplug.lane import Job
from decodeplug.progress import progress_of
from decodeplug.result import Chunk, Result
from decodeplug.text import TextState, find_stop, safe_length
from decodeplug.turn import Turn

__all__ = ["Stream", "Writing"]


class Writing:
    """Makes the chunks of one request, turn by turn.

    :param waits: Its strategy decides between several texts: there is one chunk, when it has decided.
    """

    def __init__(self, job: Job, *, waits: bool) -> None:
        self._job, self._waits = job, waits
        self._progress = progress_of(job)
        self._shown = ""

    def after(self, turn: Turn) -> Chunk | None:
        """What a turn adds; None if nothing came of it, or it was the request's last."""
        progress = self._progress
        if not progress.advance(turn) or self._waits:
            return None
        return self._chunk(self._visible(progress.text), progress.tokens, progress.sources, None)

    def last(self, result: Result) -> Chunk:
        """The chunk that ends the text."""
        progress = self._progress
        progress.finish()
        tokens, sources = progress.tokens, progress.sources
        if self._waits:
            tokens, sources = tuple(result.token_ids), result.trace.sources_of(result.hypothesis)
        return self._chunk(result.text, tokens, sources, result.finish_reason)

    def _visible(self, state: TextState | None) -> str:
        """The text that will not be taken back: no incomplete character, no possible stop string."""
        stops = self._job.rules.stops
        if state is None:
            return ""
        text = state.text
        assert find_stop(text, 0, stops) is None, "a lane with a stop string in it goes on"
        return text[: safe_length(text, stops)]

    def _chunk(self, text: str, tokens: tuple[int, ...], sources: tuple[str, ...], reason: str | None) -> Chunk:
        # A tokenizer may clean up the whole text in the end; what was shown stays shown.
        new = text[len(self._shown) :] if text.startswith(self._shown) else ""
        self._shown += new
        return Chunk(new, tokens, sources, self._shown, reason)


class Stream:
    """Iterate over the chunks of one request; ``result`` is there when it is over.

    Nothing runs until the next chunk is asked for. ``close()`` (or leaving a ``with``
    block) stops the request and frees its cache.

    Where a strategy decides between several texts there is one chunk, when it has decided.

    :raises DecodeplugError: From ``next``, when the request fails.
    """

    def __init__(
        self, job: Job, turns: Generator[Turn, None, None], finish: Callable[[], Result], *, waits: bool = False
    ) -> None:
        self._job, self._turns, self._finish = job, turns, finish
        self._writing = Writing(job, waits=waits)
        self._result: Result | None = None
        self._chunks = self._iterate()

    @property
    def result(self) -> Result:
        """The whole result; runs what is left of the request.

        :raises Cancelled: The stream was closed before its end.
        """
        for _ in self:
            pass
        if self._result is None:
            raise Cancelled("the stream was closed before its end")
        return self._result

    def cancel(self) -> None:
        """End the text with what it has: the next chunk is the last, with ``finish_reason`` "cancelled"."""
        self._job.cancelled = True

    @property
    def prompt_ids(self) -> Sequence[int]:
        """The ids that the model is given."""
        return self._job.prompt

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the request, if it is not over."""
        self._chunks.close()

    def _iterate(self) -> Generator[Chunk, None, None]:
        try:
            for turn in self._turns:
                if (chunk := self._writing.after(turn)) is not None:
                    yield chunk
        finally:
            self._turns.close()
        self._result = self._finish()
        yield self._writing.last(self._result)
