"""Verdicts counted: by file of the suite, and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.verdict import UNSATISFIABLE, Refusal, Verdict

__all__ = ["COLUMNS", "Tally", "fault_of", "row_of", "tallied"]

COLUMNS = (
    ("schemas", "schemas"),
    ("right", "right"),
    ("refused", "refused"),
    ("wrong", "wrong"),
    ("instances", "instances"),
    ("accepted", "wrongly_accepted"),
    ("slip", "slips_through"),
    ("rejected", "wrongly_rejected"),
    ("moved", "moved"),
)
"""Heading -> the count below it, as :class:`Tally` and the JSON file name it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over some schemas of one draft and part.

    :ivar keyword: The file of the suite, or "all". :ivar counts: By the names of :data:`COLUMNS`.
    :ivar reasons: Why schemas were refused, the commonest first, with how many.
    """

    draft: str
    part: str
    keyword: str
    counts: dict[str, int]
    reasons: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """Right schemas among all, in percent."""
        return 100 * self.counts["right"] / max(self.counts["schemas"], 1)

    def as_dict(self) -> dict[str, Any]:
        counted = {**self.counts, "right_percent": round(self.share, 2), "reasons": dict(self.reasons)}
        return {"draft": self.draft, "part": self.part, "keyword": self.keyword, **counted}


def tallied(verdicts: Sequence[Verdict], keyword: str = "all") -> Tally:
    """Count verdicts of one draft and part; there is at least one."""
    counts: Counter[str] = Counter(verdict.kind for verdict in verdicts)
    for _, name in COLUMNS[5:]:
        counts[name] = sum(verdict.count(name) for verdict in verdicts)
    counts["schemas"] = len(verdicts)
    counts["instances"] = sum(len(verdict.group.cases) for verdict in verdicts)
    refusals = (verdict.refusal for verdict in verdicts if verdict.kind == "refused")
    reasons = Counter(_in_short(refusal) for refusal in refusals if refusal is not None)
    group = verdicts[0].group
    ordered = {name: counts[name] for _, name in COLUMNS}
    return Tally(group.draft, group.part, keyword, ordered, tuple(reasons.most_common()))


def _in_short(refusal: Refusal) -> str:
    because = refusal.because.removesuffix(" while the text is written")
    return f"{refusal.keyword}: {because[:70]}" if refusal.keyword else because[:80]


def fault_of(verdict: Verdict) -> str:
    """What is wrong with a whole schema, beside single instances; empty if nothing is."""
    refusal = verdict.refusal
    if refusal is not None:
        where = f" at {refusal.pointer}" if refusal.pointer else ""
        return f"{refusal.kind}{where}: {refusal.because}"
    if (verdict.group.keyword, verdict.group.description) in UNSATISFIABLE:
        return "nothing satisfies it, and it is not refused"
    return ""


def row_of(verdict: Verdict) -> dict[str, Any]:
    """One verdict for the JSON file."""
    group = verdict.group
    refusal = verdict.refusal
    return {
        "draft": group.draft,
        "part": group.part,
        "keyword": group.keyword,
        "description": group.description,
        "verdict": verdict.kind,
        "schema": group.schema,
        "fault": fault_of(verdict),
        "refusal": None
        if refusal is None
        else {
            "error": refusal.kind,
            "keyword": refusal.keyword,
            "pointer": refusal.pointer,
            "because": refusal.because,
        },
        "wrong_instances": list(_wrong_instances(verdict)),
    }


def _wrong_instances(verdict: Verdict) -> Iterable[dict[str, Any]]:
    for outcome in verdict.outcomes:
        if outcome.wrongly_accepted or outcome.wrongly_rejected:
            yield {
                "description": outcome.case.description,
                "valid": outcome.case.valid,
                "text": outcome.text,
                "allowed_by_the_masks": outcome.allowed,
                "last_check": outcome.because,
            }
