"""What plain sampling makes of a given text: the law of every next token, read off while it is written again.

The text is forced on plain decoding by a processor that stands behind all others. It sees the scores that
a token would be drawn by, keeps what they say, and leaves the text's own token only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from decodeplug.host import Host
from decodeplug.precision import widest
from decodeplug.request import Request
from decodeplug.testing.lossless.plain import Tell
from decodeplug.values import Draft, LaneView, Seen, Stage

__all__ = ["RANKS", "Fact", "Forced", "Look", "Reading", "forcing", "read"]

RANKS = (1, 2, 4, 8, 16, 32)
"""Where classes of ranks end: the likeliest token, the second, the third and fourth, and so on."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a law.

    :ivar classes: Ids that are a class of their own; all others are one together.
    :ivar prefixes: After which prefixes (all ids, prompt first) the single tokens are wanted.
    :ivar least: Probability below which a token is not listed there.
    """

    classes: tuple[int, ...] = ()
    prefixes: frozenset[tuple[int, ...]] = frozenset()
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Fact:
    """The law of one token, as far as it is wanted, and the token that came up.

    :ivar logprob: Natural log. :ivar entropy: Mean of minus the log-probability, in nats. :ivar variance: Of the same.
    :ivar rank_class: Of the token. :ivar ranks: ``[len(RANKS) + 1]``, probability of each class of ranks.
    :ivar token_class: Of the token. :ivar classes: ``[len(look.classes) + 1]``, probability of each class.
    :ivar prefix: All ids before it. :ivar listed: Id -> probability, if wanted after this prefix.
    """

    token: int
    logprob: float
    entropy: float
    variance: float
    rank_class: int
    ranks: Tensor
    token_class: int
    classes: Tensor
    prefix: tuple[int, ...]
    listed: Mapping[int, float] | None


@dataclass(slots=True, eq=False)
class Forced:
    """The processor: lets a text be written again, and keeps what the scores say of it."""

    text: tuple[int, ...]
    look: Look
    wants_after: bool = False
    facts: dict[int, Fact] = field(default_factory=dict)
    after: dict[int, float] = field(default_factory=dict)
    """Id -> probability of what may follow the whole text, if that is wanted."""
    prompt_length: int = 0
    name: ClassVar[str] = "forced-text"
    stage: ClassVar[Stage] = Stage.TRUNCATE
    keeps_argmax: ClassVar[bool] = False

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        out = torch.full_like(scores, -math.inf)
        told: list[tuple[int, int]] = []  # rows after a beginning of the text, and how long that is
        for row, (ids, start) in enumerate(zip(seen.ids, seen.prompt_lengths, strict=True)):
            self.prompt_length = start
            written = len(ids) - start
            token = self.text[written] if written < len(self.text) else -1
            if tuple(ids[start:]) == self.text[:written]:
                told.append((row, written))
            if token < 0 or not scores[row, token].isfinite():
                token = int(scores[row].argmax())  # the text is not one of plain sampling, or has ended
            out[row, token] = scores[row, token]
        self._keep(scores, [tuple(ids) for ids in seen.ids], told)
        return out

    def _keep(self, scores: Tensor, prefixes: Sequence[tuple[int, ...]], told: Sequence[tuple[int, int]]) -> None:
        within = [(row, written) for row, written in told if written < len(self.text)]
        if within and not self.wants_after:
            rows = [row for row, _ in within]
            law = torch.softmax(scores[rows].to(widest(scores.device)), -1).cpu()
            tokens = [self.text[written] for _, written in within]
            found = facts_of(law, tokens, [prefixes[row] for row in rows], self.look)
            self.facts.update(zip((written for _, written in within), found, strict=True))
        for row, _ in told[len(within) :] if self.wants_after else ():
            law = torch.softmax(scores[row].to(widest(scores.device)), -1).cpu()
            self.after = _listed(law, torch.finfo(law.dtype).tiny)


@dataclass(frozen=True, slots=True)
class Given:
    """The drafter: the rest of the text, so that it is read in few forwards."""

    text: tuple[int, ...]
    name: ClassVar[str] = "given"
    prior: ClassVar[float] = 1.0

    def draft(self, lane: LaneView, room: int) -> Draft:
        written = len(lane.ids) - lane.prompt_length
        rest = self.text[written : written + room]
        return Draft(rest, (self.name,) * len(rest))


def facts_of(law: Tensor, tokens: Sequence[int], prefixes: Sequence[tuple[int, ...]], look: Look) -> list[Fact]:
    """What is wanted of some laws.

    :param law: ``[rows, vocab]`` probabilities, on the CPU; not modified.
    :param tokens: For each row the token that came up. :param prefixes: For each all ids before it.
    """
    column = torch.tensor(tokens)[:, None]
    mine = law.gather(1, column)
    parts = torch.special.entr(law)  # -p log p, and 0 where p is
    entropies = parts.sum(1)
    squares = (parts * -law.clamp_min(torch.finfo(law.dtype).tiny).log()).sum(1)
    lower = torch.arange(law.shape[1]) < column  # of equal ones the lower id comes first
    before = ((law > mine) | ((law == mine) & lower)).sum(1).tolist()
    best = law.topk(min(RANKS[-1], law.shape[1])).values
    spans = zip((0, *RANKS), RANKS, strict=False)
    ranks = _with_rest(torch.stack([best[:, low:high].sum(1) for low, high in spans], 1))
    classes = _with_rest(law[:, list(look.classes)])
    index = {token: at for at, token in enumerate(look.classes)}
    return [
        Fact(
            token=token,
            logprob=float(mine[row, 0].log()),
            entropy=float(entropies[row]),
            variance=max(0.0, float(squares[row] - entropies[row] ** 2)),
            rank_class=next((at for at, end in enumerate(RANKS) if before[row] < end), len(RANKS)),
            ranks=ranks[row],
            token_class=index.get(token, len(index)),
            classes=classes[row],
            prefix=prefix,
            listed=_listed(law[row], look.least) if prefix in look.prefixes else None,
        )
        for row, (token, prefix) in enumerate(zip(tokens, prefixes, strict=True))
    ]


def _with_rest(table: Tensor) -> Tensor:
    """``[rows, classes + 1]``: the probabilities of classes, and of what is in none of them."""
    return torch.cat([table, (1 - table.sum(1, keepdim=True)).clamp_min(0)], 1)


def _listed(law: Tensor, least: float) -> dict[int, float]:
    return {int(at): float(law[at]) for at in (law >= least).nonzero()[:, 0]}


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as plain sampling would write it.

    :ivar facts: One for each token, up to the first that cannot come up.
    :ivar violation: Why plain sampling cannot write this text; empty if it can.
    """

    facts: tuple[Fact, ...]
    violation: str = ""

    @property
    def logprob(self) -> float:
        return math.fsum(one.logprob for one in self.facts)


def forcing(host: Host, prompt: Any, plain: Mapping[str, Any], forced: Forced) -> Request:
    """A request of plain sampling that writes a text again.

    :param forced: Made for this text; keeps what was seen.
    """
    processors = plain.get("processors")
    if processors is None:  # those of the generation config, on a host that uses it
        processors = host._fit.ready(Request(prompt, **plain)).job.plan.processors
    drafters = [Given(forced.text)] if forced.text and host.target.can_rewind else []
    options = {**plain, "processors": [*processors, forced], "cache": "none", "drafters": drafters, "seed": 0}
    return Request(prompt, **options)


def read(
    host: Host,
    prompts: Sequence[Any],
    plain: Mapping[str, Any],
    texts: Sequence[tuple[int, tuple[int, ...]]],
    look: Look,
    *,
    batch: int,
    tell: Tell,
    what: str,
) -> list[Reading]:
    """What plain sampling says of some texts; equal ones are read once.

    :param texts: For each the index of its prompt, and its new ids.
    """
    known: dict[tuple[int, tuple[int, ...]], Reading] = {}
    todo = list(dict.fromkeys(texts))
    for start in range(0, len(todo), batch):
        tell(what, start, len(todo))
        some = todo[start : start + batch]
        forced = [Forced(text, look) for _, text in some]
        requests = [forcing(host, prompts[at], plain, one) for (at, _), one in zip(some, forced, strict=True)]
        for key, one, result in zip(some, forced, host.generate_batch(requests), strict=True):
            known[key] = _reading(key[1], one, tuple(result.token_ids))
    tell(what, len(todo), len(todo))
    return [known[key] for key in texts]


def _reading(text: tuple[int, ...], forced: Forced, written: tuple[int, ...]) -> Reading:
    facts: list[Fact] = []
    for position, token in enumerate(text):
        found = forced.facts.get(position)
        if found is None or position >= len(written):
            return Reading(tuple(facts), f"it goes on with token {token} at position {position}, where the text ends")
        if found.logprob == -math.inf:
            return Reading(tuple(facts), f"token {token} at position {position} cannot follow there")
        facts.append(found)
    if len(written) > len(text):
        return Reading(tuple(facts), f"it ends at position {len(text)}, where the text goes on")
    return Reading(tuple(facts))
