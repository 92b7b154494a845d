"""What is compared: the same seeds, plain sampling with itself, and samples with the law."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import torch

from decodeplug.result import Result
from decodeplug.testing.lossless.law import Fact, Reading
from decodeplug.testing.lossless.statistics import Squares, counted, flipped_signs, predicted_classes, surprise

__all__ = [
    "OFTEN",
    "Pairs",
    "by_classes",
    "by_prefixes",
    "by_surprise",
    "by_texts",
    "contradiction",
    "pair_up",
    "swapped",
]

OFTEN = 20
"""How many texts must share a beginning for the law of what follows it to be compared by itself."""


class Pairs:
    """Texts of the same seeds, drawn with the recipe and without.

    :ivar same: How many have the same ids. :ivar rounding: How many differ first at a near tie.
    :ivar first: Index and position of the first difference that rounding does not explain; None if there is none.
    """

    def __init__(self) -> None:
        self.same = self.rounding = self.differ = 0
        self.first: tuple[int, int] | None = None


def pair_up(drawn: Sequence[Result], plain: Sequence[Result]) -> Pairs:
    """Compare texts of the same seeds, id by id.

    :param plain: Drawn one token at a time, so that each step of a trace is one token.
    """
    pairs = Pairs()
    for index, (one, other) in enumerate(zip(drawn, plain, strict=True)):
        if one.token_ids == other.token_ids:
            pairs.same += 1
            continue
        both = zip(one.token_ids, other.token_ids, strict=False)
        at = next((at for at, (a, b) in enumerate(both) if a != b), None)
        if at is not None and other.trace.steps[at].near_ties:
            pairs.rounding += 1
            continue
        pairs.differ += 1
        shorter = min(len(one.token_ids), len(other.token_ids))
        pairs.first = pairs.first or (index, shorter if at is None else at)
    return pairs


def contradiction(plain: Sequence[Result], readings: Sequence[Reading], bound: float) -> str:
    """Where plain sampling gives a text other probabilities when it is written again; empty if nowhere.

    Scores that are a function of the prefix cannot do that: a part keeps something from call to call.

    :param bound: Difference of log-probabilities that rounding may make.
    """
    for result, reading in zip(plain, readings, strict=True):
        if reading.violation:
            return f"a text that it has written cannot be written again: {reading.violation}"
        for at, (told, fact) in enumerate(zip(result.logprobs, reading.facts, strict=True)):
            if abs(told - fact.logprob) > bound:
                return f"token {fact.token} at position {at} had log-probability {told:.4f} and then {fact.logprob:.4f}"
    return ""


def by_texts(texts: Sequence[tuple[int, tuple[int, ...]]], laws: Sequence[Mapping[tuple[int, ...], float]]) -> Squares:
    """Counts of whole texts against their law, prompt by prompt."""
    counts = Counter(texts)
    tables = []
    for prompt, law in enumerate(laws):
        total = sum(law.values())  # 1 but for rounding
        tables.append(([counts[prompt, text] for text in law], [share / total for share in law.values()]))
    return counted([table for table in tables if sum(table[0])])


def by_prefixes(facts: Sequence[Fact]) -> Squares:
    """Tokens after beginnings that many texts share, against the law of what follows each."""
    after: dict[tuple[int, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.listed is not None:
            after[fact.prefix].append(fact)
    tables = []
    for some in after.values():
        law = dict(some[0].listed or {})
        counts = Counter(fact.token if fact.token in law else -1 for fact in some)
        rest = 1 - sum(law.values())
        if rest > 1e-9 or counts[-1]:
            law[-1] = max(rest, 1e-9)
        total = sum(law.values())
        tables.append(([counts[token] for token in law], [share / total for share in law.values()]))
    return counted(tables)


def by_classes(facts: Sequence[Fact], kind: str) -> Squares:
    """Tokens by class, of ranks (``"rank"``) or of ids (``"token"``), against what was predicted of each."""
    if not facts:
        return Squares(0.0, 0)
    ranks = kind == "rank"
    seen = torch.tensor([fact.rank_class if ranks else fact.token_class for fact in facts])
    return predicted_classes(seen, torch.stack([fact.ranks if ranks else fact.classes for fact in facts]).double())


def by_surprise(facts: Sequence[Fact]) -> float:
    """The p-value of the mean log-probability of all tokens, against what their laws predict."""
    columns = zip(*((fact.logprob, fact.entropy, fact.variance) for fact in facts), strict=True)
    return surprise(*(torch.tensor(column, dtype=torch.float64) for column in columns)) if facts else 1.0


def swapped(readings: Sequence[Reading], plain: Sequence[Result], *, rounds: int, seed: int) -> float:
    """The p-value of log-probabilities of whole texts, recipe's against plain ones of other seeds, by permutation."""
    return flipped_signs(
        [reading.logprob for reading in readings], [sum(result.logprobs) for result in plain], rounds=rounds, seed=seed
    )
