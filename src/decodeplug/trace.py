"""What happened, step by step, and in all."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Acceptance", "Step", "Trace"]

_MOST_REMOVED = 1 - 1e-12  # of the probability mass: what is beyond is rounding
MODEL = "model"  # the source of a token that no drafter proposed


@dataclass(slots=True)
class Step:
    """One turn of the loop, for one lane.

    :ivar position: Absolute position of the first token of the step.
    :ivar drafted: Proposed ids, and for each the drafter: ``sources``.
    :ivar kept: Proposed ids that were kept. :ivar tokens: All ids committed.
    :ivar width: Ids that the forward was fed for this lane, prompt included. Hypotheses of one request share the
        forward of their prompt, which is counted at one of them.
    :ivar forward_s: Seconds until the forward returned; a GPU may go on with it for longer.
    :ivar mask_s: Seconds that filling this step's masks took, beside the forward.
    :ivar wait_s: Seconds that the loop waited for masks after the forward.
    :ivar removed: Part -> share of the probability mass it removed, per committed id.
    :ivar near_ties: Committed ids whose margin was below the dtype's rounding bound.
    :ivar restored: Hard processors that would have emptied a row, and were passed over.
    """

    position: int
    drafted: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    kept: int = 0
    tokens: tuple[int, ...] = ()
    width: int = 0
    lane: int = 0
    forward_s: float = 0.0
    mask_s: float = 0.0
    wait_s: float = 0.0
    removed: dict[str, tuple[float, ...]] = field(default_factory=dict)
    near_ties: int = 0
    restored: int = 0

    @property
    def rejected(self) -> int:
        """Proposed ids that were not kept."""
        return len(self.drafted) - self.kept

    @property
    def token_sources(self) -> tuple[str, ...]:
        """For each committed id the drafter that proposed it, or "model"."""
        return self.sources[: self.kept] + (MODEL,) * (len(self.tokens) - self.kept)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """How the drafts of one source did."""

    drafted: int
    kept: int

    @property
    def rate(self) -> float:
        return self.kept / self.drafted if self.drafted else 0.0


@dataclass(slots=True)
class Trace:
    """The record of one request. ``to_dict()`` is JSON-serialisable.

    :ivar seed: The seed that was used, also where none was given.
    :ivar steps: One entry per lane and turn of the loop.
    :ivar forwards: Turns of the loop in which this request took part: one call of the model each, on the path
        that all lanes share; elsewhere, and beside a long prompt, a turn may take a call for each group of lanes. A prompt that is fed in
        pieces takes several.
    :ivar processors: The processors in the order in which they ran.
    :ivar notes: What was decided silently otherwise: a fallback, a part left out.
    :ivar cache: What the cache took, all lanes of the run together: ``bytes`` in the last turn, ``peak_bytes``, and
        ``copied_bytes`` so far; of a paged one ``blocks``, ``shared_blocks`` and ``block_size``. ``reused`` is how many ids of
        this request's prompt were not computed, since the cache knew them from another text.
    """

    seed: int = 0
    strategy: str = "greedy"
    processors: tuple[str, ...] = ()
    drafters: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    forwards: int = 0
    elapsed_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """New ids committed, all hypotheses together."""
        return sum(len(step.tokens) for step in self.steps)

    @property
    def forwards_per_token(self) -> float:
        return self.forwards / max(1, self.tokens)

    @property
    def mean_width(self) -> float:
        """Ids fed per lane and forward, the first one of each lane (its prompt) left out."""
        begun: set[int] = set()
        widths: list[int] = []
        for step in self.steps:
            if step.lane in begun:
                widths.append(step.width)
            begun.add(step.lane)
        return sum(widths) / len(widths) if widths else 0.0

    @property
    def near_ties(self) -> int:
        """Committed ids that rounding could have turned into others; see docs/reproducibility.md."""
        return sum(step.near_ties for step in self.steps)

    @property
    def mask_s(self) -> float:
        return sum(step.mask_s for step in self.steps)

    @property
    def wait_s(self) -> float:
        return sum(step.wait_s for step in self.steps)

    @property
    def acceptance(self) -> Mapping[str, Acceptance]:
        """Drafted and kept ids by source."""
        drafted: dict[str, int] = {}
        kept: dict[str, int] = {}
        for step in self.steps:
            for index, source in enumerate(step.sources):
                drafted[source] = drafted.get(source, 0) + 1
                kept[source] = kept.get(source, 0) + (index < step.kept)
        return {source: Acceptance(count, kept[source]) for source, count in drafted.items()}

    @property
    def sources(self) -> Sequence[str]:
        """For each committed id of the first hypothesis, who proposed it; of beams, of whichever was first in its turn."""
        return self.sources_of(0)

    def sources_of(self, hypothesis: int) -> tuple[str, ...]:
        """For each committed id of a hypothesis, who proposed it."""
        return tuple(source for step in self.steps if step.lane == hypothesis for source in step.token_sources)

    @property
    def removed(self) -> Mapping[str, float]:
        """Part -> mean share of the probability mass that it removed per committed id."""
        sums: dict[str, list[float]] = {}
        for step in self.steps:
            for part, shares in step.removed.items():
                sums.setdefault(part, []).extend(shares)
        return {part: sum(shares) / len(shares) for part, shares in sums.items() if shares}

    @property
    def constraint_tax(self) -> float:
        """What the constraint took from the model's own choice, in nats over all committed ids: 0 if it changed nothing.

        A text that the model would have written with probability p has ``exp(tax) * p`` under the constraint.
        ``removed["constraint"]`` is the mean share per id, and each step has its own.
        """
        shares = (share for step in self.steps for share in step.removed.get("constraint", ()))
        return -sum(math.log1p(-min(share, _MOST_REMOVED)) for share in shares)

    def to_dict(self) -> dict[str, Any]:
        """Everything, totals included, as JSON-serialisable values."""
        totals = ("tokens", "forwards_per_token", "mean_width", "near_ties", "mask_s", "wait_s", "constraint_tax")
        plain = dataclasses.asdict(self)
        for entry, step in zip(plain["steps"], self.steps, strict=True):
            entry["token_sources"] = step.token_sources
        return {
            **plain,
            **{name: getattr(self, name) for name in totals},
            "removed": dict(self.removed),
            "acceptance": {
                source: {"drafted": a.drafted, "kept": a.kept, "rate": a.rate} for source, a in self.acceptance.items()
            },
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict())
