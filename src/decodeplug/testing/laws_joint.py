"""The laws of a selector that chooses for all hypotheses of a request at once: a small search shows them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.selecting import Rows
from decodeplug.testing.claim import claim
from decodeplug.values import Draft, Extension, LaneView

__all__ = ["check_joint"]

_LONGEST, _END = 9, 0  # new tokens of a hypothesis, and the id that ends it
ScoresAfter = Callable[[Sequence[int]], Tensor]
Outcome = list[tuple[list[int], float]]


def check_joint(selector: Any, name: str, scores_after: ScoresAfter, vocab: int, chance: random.Random) -> None:
    """Search once plainly, and again with drafts and with the lanes in another order: the outcome is the same.

    :param scores_after: From a prefix to its ``[vocab]`` scores.
    :param chance: Draws the prompt, the drafts and the orders.
    """
    claim(isinstance(getattr(selector, "width", None), int), f"selector {name} is joint and has no width")
    prompt = [chance.randrange(vocab) for _ in range(chance.randint(1, 6))]
    start = LaneView(prompt, len(prompt), seed=(chance.randrange(1000), 0))
    plain = _Search(selector, name, scores_after).run(start)
    claim(bool(plain), f"selector {name}: no hypothesis has ended after {_LONGEST} tokens")
    claim(len(plain) <= selector.width, f"selector {name} keeps {len(plain)} hypotheses of {selector.width}")
    shuffled = _Search(selector, name, scores_after, chance).run(start)
    _claim_same(name, "with its lanes in another order", shuffled, plain)
    if selector.takes_drafts:
        drafted = _Search(selector, name, scores_after, chance, drafts=True).run(start)
        _claim_same(name, "with drafts", drafted, plain)


def _claim_same(name: str, how: str, found: Outcome, plain: Outcome) -> None:
    same = [ids for ids, _ in found] == [ids for ids, _ in plain] and all(
        math.isclose(score, other, abs_tol=1e-4) for (_, score), (_, other) in zip(found, plain, strict=True)
    )
    claim(same, f"selector {name} gives {found} {how}, but {plain} without")


class _Search:
    """What the loop does with a joint selector, without a model."""

    def __init__(
        self, selector: Any, name: str, after: ScoresAfter, chance: random.Random | None = None, *, drafts: bool = False
    ) -> None:
        self.selector, self.name, self.chance, self.drafts = selector, name, chance, drafts
        normalised = getattr(selector, "takes_logprobs", False)
        self.after: ScoresAfter = (lambda ids: torch.log_softmax(after(ids), -1)) if normalised else after
        self.lanes: list[LaneView] = []

    def run(self, start: LaneView) -> Outcome:
        """The hypotheses that are left in the end, and what they are worth."""
        worth, running, finished = self.selector.worth, [start], list[LaneView]()
        for _ in range(_LONGEST):
            if not running:
                break
            if self.chance is not None:
                self.chance.shuffle(running)
            self.lanes = running
            longer = self._turn(finished)
            running = []
            for lane, ends in longer:
                (finished if ends else running).append(lane)
            running = [
                LaneView(lane.ids, lane.prompt_length, seed=(start.seed[0], number), score=lane.score)
                for number, lane in enumerate(running)
            ]
            finished = sorted(finished, key=worth, reverse=True)[: self.selector.width]
            if running and self.selector.is_settled(running, finished):
                break
        return [(list(lane.ids), worth(lane)) for lane in finished]

    def _turn(self, finished: Sequence[LaneView]) -> list[tuple[LaneView, bool]]:
        lanes = self.lanes
        rows = Rows(lanes, [self._draft(lane) for lane in lanes], self._ends, finished)
        prefixes = [
            [*lane.ids, *draft.tokens[:offset]]
            for lane, draft in zip(lanes, rows.drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]
        scores = torch.stack([self.after(prefix) for prefix in prefixes])
        given = scores.clone()
        candidates, values, _ = self.selector.propose(scores, rows)
        claim(torch.equal(scores, given), f"selector {self.name} modified the scores")
        plain, numbers = torch.as_tensor(candidates).tolist(), torch.as_tensor(values).tolist()
        extensions = self.selector.extend(plain, numbers, rows)
        claim(
            extensions == self.selector.extend(plain, numbers, rows),
            f"selector {self.name} is not pure: it extends otherwise the second time",
        )
        claim(bool(extensions), f"selector {self.name} continues none of {len(lanes)} lanes")
        found = [self._checked(extension, rows, scores) for extension in extensions]
        texts = [tuple(lane.ids) for lane, _ in found]
        claim(len(set(texts)) == len(texts), f"selector {self.name} has one hypothesis twice")
        return found

    def _draft(self, lane: LaneView) -> Draft:
        """What is likely to follow, and now and then something else."""
        chance, tokens, ids = self.chance, list[int](), list(lane.ids)
        room = _LONGEST - 1 - (len(ids) - lane.prompt_length)
        if chance is None or not self.drafts or room <= 0:
            return Draft()
        for _ in range(chance.randint(0, room)):
            likely = self.after([*ids, *tokens]).topk(2).indices.tolist()
            tokens.append(likely[0] if chance.random() < 0.8 else likely[1])
            if tokens[-1] == _END:
                break
        return Draft(tuple(tokens), ("check",) * len(tokens))

    def _ends(self, index: int, tokens: tuple[int, ...]) -> bool:
        lane = self.lanes[index]
        return tokens[-1] == _END or len(lane.ids) - lane.prompt_length + len(tokens) >= _LONGEST

    def _checked(self, extension: Extension, rows: Rows, scores: Tensor) -> tuple[LaneView, bool]:
        """The lane that an extension makes, and whether it ends."""
        parent, tokens = extension.parent, extension.tokens
        claim(0 <= parent < len(rows.lanes), f"selector {self.name} extends lane {parent} of {len(rows.lanes)}")
        who, drafted, first = f"selector {self.name}, lane {parent}", rows.drafts[parent].tokens, rows.first[parent]
        claim(
            0 < len(tokens) <= len(drafted) + 1 and extension.rows == range(first, first + len(tokens)),
            f"{who}: {len(tokens)} tokens from rows {extension.rows}, but its rows begin at {first}",
        )
        claim(
            tokens[:-1] == drafted[: len(tokens) - 1],
            f"{who}: {tokens} goes on after a token that was not drafted (drafted: {drafted})",
        )
        claim(bool(scores[extension.rows[-1], tokens[-1]] > -math.inf), f"{who}: {tokens[-1]} is chosen, and forbidden")
        ended = [count for count in range(1, len(tokens)) if self._ends(parent, tokens[:count])]
        claim(not ended, f"{who}: {tokens} goes on behind its end")
        claim(math.isfinite(extension.score), f"{who}: its score is {extension.score}")
        lane = rows.lanes[parent]
        longer = LaneView([*lane.ids, *tokens], lane.prompt_length, score=extension.score)
        return longer, self._ends(parent, tokens)
