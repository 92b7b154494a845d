"""The edges of the loop: what is drafted for a turn, and what becomes of a decision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from decodeplug.blame import fail
from decodeplug.drafting import drafts_of, judged
from decodeplug.failure import PartFailure
from decodeplug.feeding import Feeding, behind, go_on
from decodeplug.groups import grouped
from decodeplug.lane import Job, Lane
from decodeplug.rowfacts import Chosen, Picked
from decodeplug.rules import Clipped
from decodeplug.together import note, settle
from decodeplug.trace import Step
from decodeplug.turn import Turn
from decodeplug.users import drafters_of
from decodeplug.values import NO_DRAFT, Draft, LaneView
from decodeplug.walk import MaskFiller, cut_draft
from decodeplug.watching import follow
from decodeplug.widths import WidthCosts

if TYPE_CHECKING:
    from torch import Tensor

    from decodeplug.errors import CacheFull
    from decodeplug.target import Target

__all__ = ["Batch"]


class Batch:
    """Jobs on their way through the loop.

    :param joining: Jobs that join at the next turn; emptied then. Whoever drives the loop adds to it.
    :param hidden: Of what taps saw of some ids, the hidden states that drafters read. :param feeding: How long prompts are fed.
    """

    def __init__(
        self,
        joining: list[Job],
        target: Target,
        hidden: Callable[[Tensor], Tensor],
        *,
        filler: MaskFiller,
        costs: WidthCosts,
        feeding: Feeding,
    ) -> None:
        self.joining = joining
        self._vocab_size, self._device = target.vocab_size, target.device
        self._filler, self._costs, self._feeding, self._hidden = filler, costs, feeding, hidden
        self._steady: Turn | None = None
        self._running: set[Job] = set()
        self._going: tuple[list[int], list[Lane], list[int]] = [], [], []

    def join(self) -> tuple[list[int], list[Lane], list[int]]:
        """The lanes of the next turn: those that go on, and behind them those of the jobs that join.

        :returns: For each lane the index of the lane that it continues, -1 for a new one; the lanes;
            and how many of their ids the cache shall hold.
        """
        if not self.joining:
            return self._going
        parents, lanes, lengths = self._going
        new = [lane for job in self.joining for lane in job.lanes if not job.is_done]
        self.joining.clear()
        return [*parents, *[-1] * len(new)], [*lanes, *new], [*lengths, *[0] * len(new)]

    def draft(self, lanes: list[Lane], max_draft: int | None) -> Turn:
        """Ask each lane's drafter, cut what cannot be kept, and start filling the masks."""
        last, began = self._steady, time.perf_counter()
        if last is not None and last.lanes == lanes:  # where nobody drafts, the next turn is like the last one
            return last.again()
        views = [lane.view(self._costs, len(lanes)) for lane in lanes]
        pieces = self._feeding.pieces(lanes)
        if any(lane.job.waits for lane in lanes):
            self._resume(lanes)
            pieces = {**pieces, **{index: 0 for index, lane in enumerate(lanes) if lane.job.waits}}
        proposed = self._proposed(lanes, views, max_draft, pieces)
        drafts, rows, steady = [], [], True
        for index, lane in enumerate(lanes):
            draft, job = NO_DRAFT, lane.job
            if index in pieces:
                steady = False
            elif job.drafter is not None or job.constraint is not None or job.plan.joint is not None:
                steady = False
                draft, states = cut_draft(lane, proposed.get(index, NO_DRAFT))
                rows += [(job.constraint, state, job.end_ids) for state in states]
            drafts.append(draft)
        masks = self._filler.start(rows, self._vocab_size, self._device) if rows else None
        feeds = [[*lane.ids[lane.held :], *draft.tokens] for lane, draft in zip(lanes, drafts, strict=True)]
        wants = [len(draft.tokens) + 1 for draft in drafts]
        for index, count in pieces.items():
            feeds[index], wants[index] = feeds[index][:count], 0
        whole = [index for index, lane in enumerate(lanes) if lane.job.needs_whole_prompt]
        turn = Turn(lanes, grouped(lanes, views, drafts, wants), drafts, feeds, wants, masks, pieces, whole=whole)
        self._steady = turn if steady else None
        turn.draft_s = time.perf_counter() - began
        return turn

    def _proposed(
        self, lanes: Sequence[Lane], views: Sequence[LaneView], max_draft: int | None, pieces: Mapping[int, int]
    ) -> dict[int, Draft]:
        """What the drafters propose, by the index of the lane, before the constraint has its say."""
        questions, crowded = [], self._feeding.is_crowded(lanes)
        for index, (lane, view) in enumerate(zip(lanes, views, strict=True)):
            if lane.job.drafter is None or index in pieces:
                continue
            limits = max_draft, self._feeding.room(lane, len(lanes), crowded=crowded)
            room = min([lane.job.rules.room(lane), *(limit for limit in limits if limit is not None)])
            # Of twins, which share one forward, one draft would have to be the guess of all.
            if room > 0 and not lane.is_twin:
                questions.append((index, lane.job.drafter, view, room))
        if not questions:
            return {}
        drafts = drafts_of(questions, lambda index, part, cause: fail(lanes[index].job, part, "draft", cause))
        for index, drafter, _, room in questions:
            try:
                draft = drafts.get(index, NO_DRAFT).first(room)
                drafts[index] = draft
                place, problem = _misfit(draft, self._vocab_size)
                if problem:
                    guilty = draft.sources[place]
                    drafter = next((part for part in drafters_of(drafter) if part.name == guilty), drafter)
                    raise ValueError(f"it proposed {problem}, of a vocabulary of {self._vocab_size}")
            except Exception as error:
                fail(lanes[index].job, drafter, "draft", error)
                drafts[index] = NO_DRAFT
        return drafts

    def _resume(self, lanes: Sequence[Lane]) -> None:
        """Let the first request that waits for room go on, if another has left, or nobody else runs."""
        running = {lane.job for lane in lanes if not lane.job.waits}
        if not running or not self._running <= running:
            first = next(lane.job for lane in lanes if lane.job.waits)
            first.waits = False
            running.add(first)
        self._running = running

    def give_up(self, turn: Turn, full: CacheFull) -> None:
        """The cache has no room: the last request waits, and is fed again later. One that is alone fails."""
        turn.await_masks()
        running = list(dict.fromkeys(lane.job for lane in turn.lanes if not lane.job.waits))
        last = running[-1]
        if len(running) == 1:
            last.error = last.error or full
        last.waits, self._running = True, set(running[:-1])
        stay = [index for index, lane in enumerate(turn.lanes) if lane.job.error is None]
        lanes = [turn.lanes[index] for index in stay]
        self._going = stay, lanes, [0 if lane.job.waits else lane.held for lane in lanes]
        self._steady, turn.ends = None, True

    def commit(self, turn: Turn, chosen: Sequence[Chosen]) -> None:
        """Clip and commit every extension, and note which lanes go on."""
        parents: list[int] = []
        going: list[Lane] = []
        lengths: list[int] = []
        last: Job | None = None
        first = 0
        decoding = self._steady is None and all(_is_past_the_prompt(turn, index) for index in range(len(turn.lanes)))
        for choice in chosen:
            index = choice.parent
            lane = turn.lanes[index]
            job, held = lane.job, lane.held + len(turn.feeds[index])
            if job is not last:  # the lanes of a job are neighbours
                if last is not None and last.plan.joint is not None:
                    settle(last, last.plan.joint, first, parents, going, lengths)
                last, first = job, len(going)
                job.trace.forwards += 1
            picked = choice if isinstance(choice, Picked) else None
            if picked is not None:
                clipped = picked.clipped
                lane = lane.fork() if picked.forks else lane
            else:
                try:
                    clipped = job.rules.clip(lane, choice.tokens)
                except Exception as error:
                    _fail_to_clip(job, error)
                    continue
            step = _step(turn, index, clipped, choice, forks=picked is not None and picked.forks)
            begun, lane.prefilled = lane.hidden if len(lane.ids) == job.prompt_length else None, 0
            if job.watchers and turn.watched:
                follow(turn, index, lane, len(turn.feeds[index]) - step.rejected)
            turn.steps.append((job, step))
            job.trace.steps.append(step)
            spent = self._spent(turn, index) if step.drafted else None
            _extend(lane, turn.drafts[index], step.kept, clipped, choice, spent)
            if job.needs_hidden:
                fed = len(turn.feeds[index]) - step.rejected
                lane.hidden = behind(begun, self._hidden(turn.watched[index][:fed])) if turn.watched else None
            lane.finish_reason = lane.finish_reason or job.interrupted()
            if picked is not None:
                note(lane, picked.extension, step)
            if lane.finish_reason is None:
                parents.append(index)
                going.append(lane)
                lengths.append(min(held, len(lane.ids) - 1))
        if last is not None and last.plan.joint is not None:
            settle(last, last.plan.joint, first, parents, going, lengths)
        if turn.pieces:
            go_on(turn, self._hidden, parents, going, lengths)
        self._going = parents, going, lengths
        turn.ends = self._steady is None or len(going) < len(turn.lanes)
        # What a forward cost, where a drafter will ask; that of a prompt says nothing of a draft's.
        if decoding:
            self._costs.record(max(map(len, turn.feeds)), turn.forward_s + turn.choose_s, len(turn.lanes))

    def _spent(self, turn: Turn, index: int) -> float | None:
        """What the forward of a turn costs, in forwards of width 1; None where the lane was fed its prompt in it.

        What forwards of its width cost as a rule: a single slow one is not the doing of its draft.
        """
        if not _is_past_the_prompt(turn, index):
            return None
        return self._costs.relative(len(turn.feeds[index]), len(turn.lanes))


def _misfit(draft: Draft, vocab_size: int) -> tuple[int, str]:
    """The place of a token that is of another vocabulary, or was drawn over one, and what is wrong; "" if nothing is."""
    for place, token in enumerate(draft.tokens):
        if not 0 <= token < vocab_size:
            return place, f"the id {token}"
    for place, law in enumerate(draft.probabilities):
        if law is not None and law.shape != (vocab_size,):
            return place, f"a token drawn from {list(law.shape)} probabilities"
    return 0, ""


def _is_past_the_prompt(turn: Turn, index: int) -> bool:
    return len(turn.feeds[index]) <= turn.wants[index]


def _fail_to_clip(job: Job, error: Exception) -> None:
    if isinstance(error, PartFailure):
        fail(job, error.part, "clip", error.cause)
    else:
        fail(job, job.constraint, "advance", error)


def _step(turn: Turn, index: int, clipped: Clipped, choice: Chosen, *, forks: bool) -> Step:
    lane, draft, count = turn.lanes[index], turn.drafts[index], len(clipped.tokens)
    kept = _kept(draft, clipped.tokens) if draft.tokens else 0
    follows = lane.held == 0 and lane.is_twin and lane is not lane.job.lanes[0]
    shares = follows or (forks and len(lane.ids) == lane.job.prompt_length)
    reused = turn.reused[index] if turn.reused and not shares else 0
    lane.job.reused += reused
    step = Step(
        position=len(lane.ids),
        drafted=draft.tokens,
        sources=draft.sources,
        kept=kept,
        tokens=clipped.tokens,
        width=0 if shares else lane.prefilled + len(turn.feeds[index]) - reused,
        lane=lane.hypothesis,
        forward_s=turn.forward_s,
        wait_s=turn.wait_s,
        near_ties=choice.near_ties(count),
    )
    if turn.filled is not None and lane.job.constraint is not None:
        step.mask_s = turn.filled.seconds
    if not choice.are_plain:
        step.removed = choice.removed(count)
        step.restored = sum(choice.column("restored", count))
    return step


def _kept(draft: Draft, tokens: Sequence[int]) -> int:
    kept = 0
    for drafted, token in zip(draft.tokens, tokens, strict=False):
        if drafted != token:
            break
        kept += 1
    return kept


def _extend(lane: Lane, draft: Draft, kept: int, clipped: Clipped, choice: Chosen, spent: float | None) -> None:
    if draft.tokens or draft.paid or lane.records:
        lane.records = judged(lane.records, draft, kept, bool(clipped.finish_reason), spent)
    lane.ids.extend(clipped.tokens)
    lane.state, lane.text, lane.finish_reason = clipped.state, clipped.text, clipped.finish_reason
    if not choice.are_plain:
        count = len(clipped.tokens)
        lane.logprobs += choice.column("logprobs", count)
        lane.raw_logprobs += choice.column("raw", count)
        ids, values = choice.column("top ids", count), choice.column("top", count)
        for row in map(zip, ids, values):
            lane.top_logprobs.append([(token, logprob) for token, logprob in row if logprob > -math.inf])
