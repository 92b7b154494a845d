"""The law of a cache: whatever it drops, forks and reorders, the logits are those of no cache, or of itself fed at once."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from decodeplug.contracts import Session
from decodeplug.testing.claim import claim
from decodeplug.testing.exact import Float64Throughout

__all__ = ["check_cache"]


@dataclass
class _Lane:
    """What the loop would know of a lane: its ids, how many of them the cache holds, and how many were fed first."""

    ids: list[int]
    held: int = 0
    prompt: int = 0
    draft: list[int] = field(default_factory=list)

    @property
    def feed(self) -> list[int]:
        return [*self.ids[self.held :], *self.draft]


def check_cache(
    make_session: Callable[[], Session],
    model: Any,
    *,
    vocab: int | None = None,
    steps: int = 24,
    lanes: int = 3,
    tolerance: float | None = None,
    seed: int = 0,
    exact: bool = True,
    longest: int = 12,
) -> None:
    """Check a cache against computing everything again, over a random schedule.

    Lanes are fed prompts, single tokens, drafts and nothing; drafts are kept in part; lanes are
    forked, dropped, reordered, cut back and joined by new ones. Best with a model in float64.

    :param make_session: Opens a session without lanes, for example
        ``lambda: Target(model).session("dense")``. Called once, and for every lane and step if it is not ``exact``.
    :param model: The same causal language model; called lane by lane without a cache.
    :param vocab: Ids to draw from: those below it; by default the width of the model's logits.
    :param steps: Forwards to make.
    :param lanes: How many lanes there are, about.
    :param tolerance: Largest difference of two logits, absolute; by default 1e-10 in float64 (which is
        kept throughout, see :class:`Float64Throughout`) and 1e-3 otherwise.
    :param seed: Another seed, another schedule.
    :param exact: False of a cache that approximates: what the model says must then be what it says with a new session that is
        fed the whole text of one lane, so that a text does not depend on drafts, on other lanes, or on how it was fed.
    :param longest: Ids of a new lane's prompt, at most.
    :raises AssertionError: A law is broken; the message says which, and at which step.
    """
    chance = random.Random(seed)
    session = make_session()
    width = vocab if vocab is not None else int(model.config.get_text_config().vocab_size)
    current = [_new_lane(width, chance, longest) for _ in range(lanes)]
    _keep(session, 0, [], current, [-1] * lanes, [0] * lanes)
    in_float64 = model.dtype == torch.float64
    allowed = tolerance if tolerance is not None else 1e-10 if in_float64 else 1e-3
    oracle = partial(_recomputed, model) if exact else partial(_fed_at_once, make_session)
    largest = 0
    for step in range(1, steps + 1):
        drafts_allowed = 4 if session.max_draft is None else min(4, session.max_draft)
        for lane in current:
            # A lane of which the cache holds everything has nothing to draft after, and feeds nothing.
            room = drafts_allowed if lane.feed else 0
            lane.draft = [chance.randrange(width) for _ in range(chance.randint(0, room))]
        wants = [chance.randint(1, len(lane.draft) + 1) if lane.feed else 0 for lane in current]
        for lane, want in zip(current, wants, strict=True):
            lane.prompt = lane.prompt or len(lane.feed) - max(want, 1) + 1
        with Float64Throughout() if in_float64 else contextlib.nullcontext():
            found = session.forward([lane.feed for lane in current], wants)
            expected = [oracle(lane) for lane in current]
        _compare(step, found, expected, wants, allowed)
        largest = max(largest, session.bytes())
        parents, following, lengths = _reshape(current, lanes, width, chance, longest)
        _keep(session, step, current, following, parents, lengths)
        current = following
    session.keep([], [])
    left = session.bytes()
    claim(left <= largest / 10, f"bytes() is {left:,} when all lanes are dropped, after at most {largest:,} with lanes")


def _new_lane(vocab: int, chance: random.Random, longest: int) -> _Lane:
    return _Lane([chance.randrange(vocab) for _ in range(chance.randint(1, longest))])


@torch.no_grad()
def _recomputed(model: Any, lane: _Lane) -> Tensor:
    """``[ids + draft, vocab]``: the model's logits of one lane, alone and without a cache."""
    device = next(model.parameters()).device
    ids = torch.tensor([[*lane.ids, *lane.draft]], device=device)
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]


def _fed_at_once(make_session: Callable[[], Session], lane: _Lane) -> Tensor:
    """``[rows, vocab]``: the logits of one lane in a session of its own, from its prompt's last id on."""
    session, ids = make_session(), [*lane.ids, *lane.draft]
    session.keep([-1], [0])
    # A prompt may be seen as a whole, and is what is fed first.
    logits = session.forward([ids[: lane.prompt]], [1])
    held = session.keep([0], [lane.prompt])[0]
    return torch.cat([logits, session.forward([ids[held:]], [len(ids) - lane.prompt])])


def _compare(step: int, found: Tensor, expected: Sequence[Tensor], wants: Sequence[int], tolerance: float) -> None:
    claim(
        found.dim() == 2 and len(found) == sum(wants),
        f"step {step}: forward returned {list(found.shape)}, but {sum(wants)} rows were wanted",
    )
    row = 0
    for lane, (logits, want) in enumerate(zip(expected, wants, strict=True)):
        if not want:
            continue
        claim(
            found.shape[-1] == logits.shape[-1],
            f"step {step}: logits have width {found.shape[-1]}, not {logits.shape[-1]}",
        )
        away = (found[row : row + want].double() - logits[-want:].double()).abs().amax(-1)
        worst = int(away.argmax())
        claim(
            bool((away <= tolerance).all()),  # NaN is not within any tolerance
            f"step {step}, lane {lane}: the logits of the {want - worst}. id from the end are "
            f"{float(away[worst]):.1e} away from those without a cache, or of one fed at once (allowed: {tolerance:.0e})",
        )
        row += want


def _reshape(
    current: Sequence[_Lane], lanes: int, vocab: int, chance: random.Random, longest: int
) -> tuple[list[int], list[_Lane], list[int]]:
    """Decide who goes on: mostly everybody, now and then with a fork, a drop, a newcomer or another order."""
    parents = list(range(len(current)))
    kind = chance.choice(["go on", "go on", "go on", "fork", "drop", "join", "shuffle"])
    if kind == "fork":
        parents.insert(chance.randrange(len(parents) + 1), chance.choice(parents))
    elif kind == "drop" and len(parents) > 1:
        parents.pop(chance.randrange(len(parents)))
    elif kind == "join":
        parents.insert(chance.randrange(len(parents) + 1), -1)
    elif kind == "shuffle":
        chance.shuffle(parents)
    while len(parents) > lanes + 2:
        parents.pop(chance.randrange(len(parents)))
    following, lengths = [], []
    for parent in parents:
        if parent < 0:
            following.append(_new_lane(vocab, chance, longest))
            lengths.append(0)
            continue
        lane = current[parent]
        kept = lane.draft[: chance.randint(0, len(lane.draft))]
        ids = [*lane.ids, *kept]
        held = len(ids)
        if chance.random() < 0.1:
            held = chance.randrange(held + 1)  # cut back further than any draft
        # Mostly a new token is pending; without one, the lane feeds nothing at the next step.
        idle = held == len(ids) and chance.random() < 0.15
        following.append(
            _Lane(ids if idle else [*ids, chance.randrange(vocab)], prompt=min(lane.prompt, held or lane.prompt))
        )
        lengths.append(held)
    return parents, following, lengths


def _keep(
    session: Session,
    step: int,
    before: Sequence[_Lane],
    following: Sequence[_Lane],
    parents: Sequence[int],
    lengths: Sequence[int],
) -> None:
    held = session.keep(parents, lengths)
    claim(len(held) == len(parents), f"step {step}: keep returned {len(held)} lengths for {len(parents)} lanes")
    for index, (lane, length, most) in enumerate(zip(following, held, lengths, strict=True)):
        claim(0 <= length <= most, f"step {step}, lane {index}: keep says it holds {length} ids, of at most {most}")
        lane.held = length
    claim(session.bytes() >= 0, f"step {step}: bytes() is negative")
