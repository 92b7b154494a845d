"""What the meter says: pass, fail or not enough samples, and by what."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Outcome", "Verdict"]

Outcome = Literal["pass", "fail", "not enough samples"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One comparison that was made.

    :ivar name: Of the comparison. :ivar says: What was seen, as a sentence.
    :ivar p: The p-value by itself; None where the comparison is no statistical one.
    :ivar adjusted: The p-value after all tests that were made (Holm).
    :ivar failed: It shows that the laws differ.
    :ivar smallest_tv: The smallest distance that it could have found; None where it claims none.
    """

    name: str
    says: str
    p: float | None = None
    adjusted: float | None = None
    failed: bool = False
    smallest_tv: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a recipe's texts have the law of plain sampling.

    :ivar outcome: ``"pass"``, ``"fail"`` or ``"not enough samples"``. :ivar because: Why, as a sentence.
    :ivar smallest_tv: The smallest total-variation distance that would have been found with probability
        0.9; a pass says nothing of smaller ones. :ivar of: The law that it is a distance of: "whole texts", or
        "next tokens": the mean over all positions, of how likely the tokens are and of which frequent ones they are.
    :ivar bound: What it may be at most for a pass. :ivar alpha: The probability of failing a right recipe.
    :ivar samples: Texts drawn with the recipe. :ivar tokens: New tokens of each at most.
    :ivar wanted_samples: About how many are enough; None where they are, or where more would not help.
    :ivar drafted: Tokens that were drafted in all of them. :ivar kept: Those that were kept.
    :ivar findings: Every comparison that was made. :ivar notes: What else there is to know.
    """

    outcome: Outcome
    because: str
    smallest_tv: float
    of: str
    bound: float
    alpha: float
    samples: int
    tokens: int
    wanted_samples: int | None = None
    drafted: int = 0
    kept: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.outcome == "pass"

    @property
    def exit_code(self) -> int:
        """Of the command line: 0 for a pass, 1 for a fail, 2 where there is no verdict."""
        return {"pass": 0, "fail": 1, "not enough samples": 2}[self.outcome]

    def check(self) -> Verdict:
        """The verdict itself, if it is a pass.

        :raises AssertionError: It is none; says why.
        """
        if not self.passed:
            raise AssertionError(str(self))
        return self

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.outcome}: {self.because}"


def enough(smallest_tv: float, bound: float, samples: int) -> int | None:
    """About how many samples bring a distance down to the bound: it shrinks with their square root."""
    if smallest_tv <= bound:
        return None
    return math.ceil(samples * (smallest_tv / bound) ** 2 / 10) * 10
