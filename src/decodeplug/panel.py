"""The paths of a request whose strategy decides between them: read as they end, and ranked when all have."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from decodeplug.blame import blaming
from decodeplug.jury import Decision, Jury
from decodeplug.lane import Job, Lane
from decodeplug.result import Result

__all__ = ["Panel"]

_CUT = ("cancelled", "timeout")
Read = Callable[[Lane], Result]


@dataclass(slots=True, eq=False)
class Panel:
    """What a jury is asked, and what it said.

    A jury is asked about the paths of at most so many tokens, for each length as soon as no running path can end with
    it any more. So what settles a vote is a question of lengths and not of speed: a draft may have a long path end
    before a short one, but the long one has no say then, whichever ended first.

    :ivar paths: Number to result, of the paths that have ended by themselves.
    :ivar settled: The numbers of those that settled it, if they did: the others have no say.
    """

    jury: Jury
    job: Job
    paths: dict[int, Result] = field(default_factory=dict[int, Result])
    settled: list[int] | None = None
    _asked: int = -1  # paths of up to so many tokens were asked about

    @torch.inference_mode(False)  # what a caller's function does with a path is its own affair
    def follow(self, read: Read) -> None:
        """Read the paths that have ended since, and cancel the others if they can change nothing any more.

        :param read: Makes the result of a lane.
        """
        job = self.job
        if self.settled is not None or job.error is not None:
            return
        for lane in job.lanes:
            if lane.finish_reason not in (None, *_CUT) and lane.hypothesis not in self.paths:
                self._hear(lane.hypothesis, read(lane))
        running = [len(lane.new_ids) for lane in job.lanes if lane.finish_reason is None]
        shortest = min(running, default=math.inf)  # a running path ends with more tokens than it has
        lengths = sorted({len(path.token_ids) for path in self.paths.values()})
        for length in (length for length in lengths if self._asked < length <= shortest):
            self._asked = length
            numbers = [number for number in self._voters() if len(self.paths[number].token_ids) <= length]
            others = len(job.lanes) - sum(len(path.token_ids) <= length for path in self.paths.values())
            if numbers and self._is_settled([self.paths[number] for number in numbers], others):
                self.settled, job.cancelled = numbers, True
                return

    def _hear(self, number: int, path: Result) -> None:
        self.paths[number] = path
        if path.error is None:
            path.answer = self._ask("answer_of", path)

    def _voters(self) -> list[int]:
        """Numbers of the paths that may be chosen: their text has passed its final check."""
        return [number for number in sorted(self.paths) if self.paths[number].error is None]

    def _is_settled(self, paths: list[Result], running: int) -> bool:
        with blaming(self.job, self.jury, "is_settled"):
            return bool(self.jury.is_settled(paths, running))
        return False

    def _ask(self, call: str, *arguments: Any) -> Any:
        with blaming(self.job, self.jury, call):
            return getattr(self.jury, call)(*arguments)
        return None

    @torch.inference_mode(False)
    def verdict(self, read: Read) -> list[Result]:
        """All paths, the chosen one first, with what was decided. For when no lane is running.

        Where no path ended by itself, the chosen one is the best of what there is.
        """
        self.follow(read)
        job = self.job
        every = {lane.hypothesis: self.paths.get(lane.hypothesis) or read(lane) for lane in job.lanes}
        voters = self.settled or self._voters() or ([] if self.paths else sorted(every))
        order = [] if job.error is not None or not voters else self._decide([every[number] for number in voters])
        ranked = [voters[place] for place in order]
        results = [every[number] for number in [*ranked, *(number for number in every if number not in ranked)]]
        if ranked:
            self._note(every, [every[number] for number in voters], votes=results[0].agreement is not None)
            cut = next((path.finish_reason for path in every.values() if path.finish_reason in _CUT), None)
            if cut is not None and self.settled is None:
                results[0].finish_reason = cut
        return results

    def _decide(self, voters: list[Result]) -> list[int]:
        decision = self._ask("decide", voters)
        if self.job.error is not None:
            return []
        order: list[int] = []
        with blaming(self.job, self.jury, "decide"):
            order = [operator.index(place) for place in decision.order] if isinstance(decision, Decision) else []
            if sorted(order) != list(range(len(voters))):
                raise ValueError(f"it gave {decision!r}, where each of {len(voters)} paths has one place in the order")
            for path, score in zip(voters, decision.scores, strict=False):
                path.score = score
        if self.job.error is not None:
            return []
        voters[order[0]].agreement = decision.agreement
        return order

    def _note(self, every: dict[int, Result], voters: list[Result], *, votes: bool) -> None:
        """Say in the trace what the result does not show."""
        notes, count = self.job.trace.notes, len(every)
        cut = [path for path in every.values() if path.finish_reason in _CUT]
        if cut and self.settled is None:
            notes.append(f"{len(self.paths)} of {count} paths had ended when the request was interrupted")
        elif self.settled is not None and len(voters) < count:
            saved = sum(self.job.rules.budget - len(path.token_ids) for path in cut)
            cancelled = f": {len(cut)} were cancelled, which had up to {saved} tokens left to write" if cut else ""
            notes.append(f"{len(voters)} of {count} paths settled the answer{cancelled}")
        if failed := sum(path.error is not None for path in self.paths.values()):
            notes.append(f"{failed} of {count} paths failed the final check and have no say")
        if votes and (silent := sum(path.answer is None for path in voters)):
            notes.append(f"{silent} of {len(voters)} paths gave no answer and have no vote")
