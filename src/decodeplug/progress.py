"""What of a text can be shown while it is being written, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from decodeplug.lane import Job
from decodeplug.text import TextState, extend_text
from decodeplug.turn import Turn

__all__ = ["Agreed", "First", "Progress", "progress_of"]


class Progress(Protocol):
    """Follows a job.

    :ivar tokens: Ids that are shown now. :ivar sources: Who proposed each. :ivar text: What all shown ids say; None
        on a host without tokenizer.
    """

    tokens: tuple[int, ...]
    sources: tuple[str, ...]

    @property
    def text(self) -> TextState | None: ...

    def advance(self, turn: Turn) -> bool:
        """Take a turn into account; False if nothing came of it, or nothing will come after it."""
        ...

    def finish(self) -> None:
        """Take the ids that are still to be shown."""
        ...


def progress_of(job: Job) -> Progress:
    """How far a job has come, as far as it is certain."""
    return First(job) if job.plan.joint is None else Agreed(job)


class First:
    """The first lane of a job: what it has committed stays."""

    def __init__(self, job: Job) -> None:
        self._job, self._lane = job, job.lanes[0]
        self.tokens: tuple[int, ...] = ()
        self.sources: tuple[str, ...] = ()

    @property
    def text(self) -> TextState | None:
        return self._lane.text

    def advance(self, turn: Turn) -> bool:
        lane = self._lane
        steps = [step for job, step in turn.steps if job is self._job and step.lane == lane.hypothesis]
        if not steps:
            return False
        self.tokens = tuple(token for step in steps for token in step.tokens)
        self.sources = tuple(source for step in steps for source in step.token_sources)
        return lane.finish_reason is None and self._job.error is None

    def finish(self) -> None:
        """Its last ids are those of the last turn."""


class Agreed:
    """What all hypotheses of a job that can still win have in common: those that go on, and the best that has ended."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ids: list[int] = []
        self.text: TextState | None = TextState() if job.rules.follows_text else None
        self.tokens: tuple[int, ...] = ()
        self.sources: tuple[str, ...] = ()

    def advance(self, turn: Turn) -> bool:
        job = self._job
        if job.is_done or not any(owner is job for owner, _ in turn.steps):
            return False
        self._show(_common([lane.new_ids for lane in (*job.lanes, *job.finished[:1])]))
        if self.text is not None and self.tokens:
            assert job.rules.decode is not None
            self.text = extend_text(job.rules.decode, self.text, self._ids)
        return True

    def finish(self) -> None:
        self._show(self._job.lanes[0].new_ids)

    def _show(self, ids: Sequence[int]) -> None:
        shown = len(self._ids)
        assert list(ids[:shown]) == self._ids, "a hypothesis that could not win has won"
        self.tokens = tuple(ids[shown:])
        self.sources = tuple(self._job.lanes[0].sources[shown : len(ids)])
        self._ids = list(ids)


def _common(texts: Sequence[Sequence[int]]) -> Sequence[int]:
    """The longest beginning that all of them have."""
    first = texts[0]
    for length, tokens in enumerate(zip(*texts, strict=False)):
        if len(set(tokens)) > 1:
            return first[:length]
    return first[: min(map(len, texts))]
