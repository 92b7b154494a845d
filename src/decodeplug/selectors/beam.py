"""Beam search: of all continuations of all hypotheses, the best few go on."""

from __future__ import annotations

import math
import numbers
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from decodeplug.contracts import Proposal, Rows
from decodeplug.errors import BadOption
from decodeplug.noise import NoiseKey, gumbel, perturb
from decodeplug.values import Extension, LaneView

__all__ = ["Beam"]

_STEEPEST = 50  # penalty of the length: a million tokens to this power are still a float


class Path(NamedTuple):
    """A lane, and what follows it within this turn."""

    parent: int
    tokens: tuple[int, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Beam:
    """The best continuations of all hypotheses together, by the sum of their log-probabilities.

    Step by step: of the ``max(2, 1 + len(end_ids)) * num_beams`` best continuations, those among the first
    ``num_beams`` that end are finished, and the best ``num_beams`` that do not end go on. Finished ones are
    compared by ``score / new_tokens ** length_penalty``. Equals are ordered by the number of the hypothesis,
    then by the id. Where fewer continuations exist than that, there are fewer hypotheses.

    A draft is scored ahead, and as many steps are taken at once as have all that they need: every hypothesis
    that goes on must be one that was drafted. So drafts change nothing but the number of forwards.

    :param sample: The continuations are drawn without replacement, not the best: the best of score plus noise,
        with noise keyed by the seed and the text of the hypothesis.
    :param num_beams: Hypotheses that go on, and that are kept finished.
    :param length_penalty: Above 0 favours long texts, below 0 short ones.
    :param early_stopping: True: stop when ``num_beams`` are finished. False: when the best one that goes on is,
        at its present length, no better than the worst of them. "never": when it could not become better
        at ``max_new_tokens`` either.
    :param max_new_tokens: The budget, for "never"; None is none. :param end_ids: Ids that end a text.
    :raises BadOption: A value that cannot be.
    Source: the rules are those of transformers 5.24, ``GenerationMixin._beam_search``; drawing without
        replacement, Kool et al. 2019, arXiv:1903.06059, section 2.3.
    """

    sample: bool = False
    num_beams: int = 4
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    max_new_tokens: int | None = None
    end_ids: Collection[int] = ()
    name: ClassVar[str] = "beam"
    joint: ClassVar[bool] = True
    takes_drafts: ClassVar[bool] = True
    takes_logprobs: ClassVar[bool] = True
    only_drafters: ClassVar[tuple[str, ...]] = ("forced",)

    def __post_init__(self) -> None:
        if not isinstance(self.num_beams, numbers.Integral) or self.num_beams < 1:
            raise BadOption("beam", num_beams=self.num_beams, wanted="a whole number of at least 1")
        if not isinstance(self.length_penalty, numbers.Real) or not abs(self.length_penalty) <= _STEEPEST:
            raise BadOption(
                "beam", length_penalty=self.length_penalty, wanted=f"a number from -{_STEEPEST} to {_STEEPEST}"
            )
        if self.early_stopping not in (True, False, "never"):
            raise BadOption("beam", early_stopping=self.early_stopping, wanted="True, False or 'never'")

    @property
    def width(self) -> int:
        """How many finished hypotheses are kept."""
        return self.num_beams

    @property
    def looked_at(self) -> int:
        """How many continuations are ranked in each step."""
        return max(2, 1 + len(self.end_ids)) * self.num_beams

    def propose(self, scores: Tensor, rows: Rows) -> Proposal:
        """The best ids of every row and their scores, by score plus noise where it is drawn."""
        ranked_by = perturb(scores, _noise_keys(rows)) if self.sample else scores
        best = _best(ranked_by, min(self.looked_at, scores.shape[-1]))
        return Proposal(best, scores.gather(-1, best), torch.full_like(scores[:, 0], math.inf))

    def extend(
        self, candidates: Sequence[Sequence[int]], values: Sequence[Sequence[float]], rows: Rows
    ) -> list[Extension]:
        """What ends in this turn, and then what goes on, best first."""
        noise = gumbel(_noise_keys(rows), torch.tensor(candidates)).tolist() if self.sample else None
        numbered = sorted(enumerate(rows.lanes), key=lambda lane: lane[1].seed[1])
        running = [Path(index, (), lane.score) for index, lane in numbered]
        worths = [self.worth(lane) for lane in rows.finished]
        ended: list[Extension] = []
        while True:
            ranked = self._ranked(running, candidates, values, noise, rows)
            finished, running, margin = self._divided(ranked, rows)
            ended += [_extension(path, rows, margin) for path in finished]
            worths += [self._worth(path.score, _new_tokens(path, rows)) for path in finished]
            worths = sorted(worths, reverse=True)[: self.num_beams]
            if not running or not all(_is_drafted(path, rows) for path in running):
                break
            if self._is_settled(running[0].score, _new_tokens(running[0], rows), worths):
                break
        return [*ended, *(_extension(path, rows, margin) for path in running)]

    def _ranked(
        self,
        running: Sequence[Path],
        candidates: Sequence[Sequence[int]],
        values: Sequence[Sequence[float]],
        noise: Sequence[Sequence[float]] | None,
        rows: Rows,
    ) -> list[Path]:
        """The continuations that are looked at, best first."""
        found: list[tuple[float, int, int, Path]] = []
        for number, path in enumerate(running):
            row = rows.first[path.parent] + len(path.tokens)
            for place, (token, value) in enumerate(zip(candidates[row], values[row], strict=True)):
                if value > -math.inf:
                    longer = Path(path.parent, (*path.tokens, token), path.score + value)
                    drawn = 0.0 if noise is None else noise[row][place]
                    found.append((-longer.score - drawn, number, token, longer))
        found.sort()
        del found[self.looked_at :]
        if noise is not None:
            found = sorted((-path.score, number, token, path) for _, number, token, path in found)
        return [path for *_, path in found]

    def _divided(self, ranked: Sequence[Path], rows: Rows) -> tuple[list[Path], list[Path], float]:
        """What ends, what goes on, and by how much the last of these is ahead of the first left out."""
        finished: list[Path] = []
        running: list[Path] = []
        for place, path in enumerate(ranked):
            # Drawn ones are all asked about: one that its constraint refuses must give its place to another.
            ends = (self.sample or len(running) < self.num_beams) and rows.ends(path.parent, path.tokens)
            if len(running) == self.num_beams:
                if not ends:
                    return finished, running, running[-1].score - path.score
            elif not ends:
                running.append(path)
            elif place < self.num_beams:
                finished.append(path)
        return finished, running, math.inf

    def worth(self, lane: LaneView) -> float:
        """Its score by the length of what was generated."""
        return self._worth(lane.score, len(lane.ids) - lane.prompt_length)

    def is_settled(self, running: Sequence[LaneView], finished: Sequence[LaneView]) -> bool:
        """Is none of those that go on expected to be better than the worst of those that are kept?"""
        best = max(running, key=lambda lane: lane.score)
        return self._is_settled(best.score, len(best.ids) - best.prompt_length, [self.worth(lane) for lane in finished])

    def _worth(self, score: float, new_tokens: float) -> float:
        return score / new_tokens**self.length_penalty

    def _is_settled(self, best: float, new_tokens: float, worths: Sequence[float]) -> bool:
        if len(worths) < self.num_beams:
            return False
        if self.early_stopping is True:
            return True
        if self.early_stopping == "never" and self.length_penalty > 0:
            new_tokens = math.inf if self.max_new_tokens is None else self.max_new_tokens
        return self._worth(best, new_tokens) <= min(worths)


def _extension(path: Path, rows: Rows, margin: float) -> Extension:
    first = rows.first[path.parent]
    return Extension(path.parent, path.tokens, range(first, first + len(path.tokens)), path.score, margin)


def _new_tokens(path: Path, rows: Rows) -> int:
    lane = rows.lanes[path.parent]
    return len(lane.ids) - lane.prompt_length + len(path.tokens)


def _is_drafted(path: Path, rows: Rows) -> bool:
    """Is there a row of scores for what follows it?"""
    return path.tokens == rows.drafts[path.parent].tokens[: len(path.tokens)]


def _noise_keys(rows: Rows) -> list[NoiseKey]:
    """One for each row: what a hypothesis says stands for its number, which is another one in every step."""
    keys: list[NoiseKey] = []
    for lane, draft in zip(rows.lanes, rows.drafts, strict=True):
        said = array("q", lane.ids[lane.prompt_length :])
        for offset in range(len(draft) + 1):
            said.extend(draft.tokens[max(0, offset - 1) : offset])
            digest = int.from_bytes(blake2b(said.tobytes(), digest_size=8).digest(), "little")
            keys.append((lane.seed[0], digest, len(lane.ids) + offset))
    return keys


def _best(scores: Tensor, count: int) -> Tensor:
    """``[rows, count]`` int64: the best ids of every row; the lower one first among equals."""
    if not scores.is_cpu:
        return scores.sort(dim=-1, descending=True, stable=True).indices[:, :count]
    least, ids = scores.topk(count, -1)
    least = least[:, -1:]
    ids = ids.sort(-1).values
    best = ids.gather(-1, scores.gather(-1, ids).sort(dim=-1, descending=True, stable=True).indices)
    # Among equals at the edge topk takes any; where those are at -inf, any will do.
    tied = ((scores >= least).sum(-1) > count) & least[:, 0].isfinite()
    for row in tied.nonzero()[:, 0].tolist():
        best[row] = scores[row].sort(dim=-1, descending=True, stable=True).indices[:count]
    return best
