"""Tokens per forward with a true assistant, beside what the measured acceptance makes expected.

A tiny model with a vocabulary of 64 ids, and an assistant that is the same model with some noise in its output layer.
Both sample at temperature 1; acceptance is by rejection. With acceptance a and drafts of g tokens Leviathan et al. 2022
(arXiv:2211.17192, equation 1) expect (1 - a^(g+1)) / (1 - a) tokens for a forward, if acceptances are independent of
each other: how far they are not is the autocorrelation beside it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from decodeplug import Host, Request
from decodeplug.testing import like, tiny_model

__all__ = ["FormulaRow", "farthest", "formula_rows"]

LENGTHS = (1, 2, 3, 5, 8)
TEXTS, TOKENS = 24, 120


@dataclass(frozen=True)
class FormulaRow:
    """One draft length ``g``.

    :ivar acceptance: Kept tokens by judged ones. :ivar per_forward: Tokens by forwards, without those that the
        budget cut short. :ivar autocorrelation: Of acceptance, at lag 1 over the judged tokens in their order.
    """

    g: int
    acceptance: float
    per_forward: float
    autocorrelation: float

    @property
    def expected(self) -> float:
        a = self.acceptance
        return (1 - a ** (self.g + 1)) / (1 - a) if a < 1 else self.g + 1

    def cells(self) -> list[str]:
        """The row as text."""
        return [
            str(self.g),
            f"{self.acceptance:.3f}",
            f"{self.per_forward:.3f}",
            f"{self.expected:.3f}",
            f"{self.per_forward / self.expected:.3f}",
            f"{self.autocorrelation:+.3f}",
        ]


def formula_rows(texts: int = TEXTS) -> list[FormulaRow]:
    """One row for each draft length, from so many texts."""
    model = tiny_model(vocab=64)
    host, assistant = Host(model, None, plugins=[]), like(model, strength=0.5)
    return [_row(host, assistant, g, texts) for g in LENGTHS]


def farthest(rows: list[FormulaRow]) -> float:
    """The largest distance from 1 of what was measured by what was expected."""
    return max(abs(row.per_forward / row.expected - 1) for row in rows)


def _row(host: Host, assistant: object, g: int, texts: int) -> FormulaRow:
    requests = [
        Request(
            [1 + seed % 40, 2, 3],
            strategy="speculative",
            do_sample=True,
            acceptance="rejection",
            assistant=assistant,
            drafters=[f"assistant=num_tokens={g}"],
            max_new_tokens=TOKENS,
            end_ids=[],
            seed=seed,
        )
        for seed in range(texts)
    ]
    judged: list[list[int]] = []  # for each full draft, 1 for each token that was kept and 0 for the first that was not
    for result in host.generate_batch(requests):
        judged += [[1] * step.kept + [0] * (step.kept < g) for step in result.trace.steps if len(step.drafted) == g]
    kept, count = sum(map(sum, judged)), sum(map(len, judged))
    return FormulaRow(g, kept / count, (kept + len(judged)) / len(judged), _autocorrelation(judged))


def _autocorrelation(judged: list[list[int]]) -> float:
    """Of neighbouring judgements, across the drafts of all texts."""
    flat = [value for draft in judged for value in draft]
    mean = sum(flat) / len(flat)
    spread = sum((value - mean) ** 2 for value in flat) / len(flat)
    pairs = [(one - mean) * (other - mean) for one, other in itertools.pairwise(flat)]
    return sum(pairs) / len(pairs) / spread if spread else 0.0
