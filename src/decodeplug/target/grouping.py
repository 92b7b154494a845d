"""Which lanes may share a forward, and what else holds for all forwards of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from decodeplug.target.masks import MaskRule

__all__ = ["Grouping", "LaneTraits", "alone", "by_length", "by_need", "by_width", "wastes"]

_SPARE = 128
"""Padding ids that cost less than a forward of their own."""

Grouping = Callable[[Sequence[int], Sequence[int]], list[list[int]]]
"""``grouping(held, counts)`` -> lanes that may share a forward; lanes without new ids in none."""


@dataclass(frozen=True, slots=True)
class LaneTraits:
    """How the lanes of one model are run.

    :ivar grouping: Which lanes may share a forward; None means all of them.
    :ivar max_draft: See :class:`decodeplug.contracts.Session`.
    :ivar masked: Pass a mask of ones to the model.
    :ivar own_masks: Masks are made at lane positions; False leaves them to transformers,
        which is right for one lane at a time (flash and flex attention).
    :ivar single_steps: Behind its first forward a lane is fed one id at a time.
    :ivar rule: A restriction of what rows see, beside the model's own mask function.
    """

    grouping: Grouping | None = None
    max_draft: int | None = None
    masked: bool = True
    own_masks: bool = True
    single_steps: bool = False
    rule: MaskRule | None = None


def by_width(held: Sequence[int], counts: Sequence[int]) -> list[list[int]]:
    """Lanes with equally many new ids together, fresh ones apart: a state has no room for padding rows."""
    return _by_key([(count, start == 0) for start, count in zip(held, counts, strict=True)], counts)


def by_length(limit: int) -> Grouping:
    """Equal lengths and widths together, as soon as a lane reaches ``limit``; all together before."""

    def grouping(held: Sequence[int], counts: Sequence[int]) -> list[list[int]]:
        ends = [start + count for start, count in zip(held, counts, strict=True)]
        if max(held) + max(counts) <= limit:
            return [list(range(len(held)))]
        return _by_key(list(zip(held, ends, strict=True)), counts)

    return grouping


def wastes(counts: Sequence[int]) -> bool:
    """Would one forward of all lanes compute much padding, as where one is fed a prompt and others decode?"""
    return max(counts) * len(counts) - sum(counts) > _SPARE


def by_need(held: Sequence[int], counts: Sequence[int]) -> list[list[int]]:
    """Lanes of about equal width together: as few forwards as possible with little padding in each."""
    order = sorted((lane for lane, count in enumerate(counts) if count), key=lambda lane: counts[lane])
    groups: list[list[int]] = []
    for lane in order:
        if groups and not wastes([counts[other] for other in (*groups[-1], lane)]):
            groups[-1].append(lane)
        else:
            groups.append([lane])
    return [sorted(group) for group in groups]


def alone(held: Sequence[int], counts: Sequence[int]) -> list[list[int]]:
    """Every lane in a forward of its own."""
    return [[lane] for lane, count in enumerate(counts) if count]


def _by_key(keys: Sequence[object], counts: Sequence[int]) -> list[list[int]]:
    groups: dict[object, list[int]] = {}
    for lane, (key, count) in enumerate(zip(keys, counts, strict=True)):
        if count:
            groups.setdefault(key, []).append(lane)
    return list(groups.values())
