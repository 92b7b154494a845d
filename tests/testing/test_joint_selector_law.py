"""``check_selector`` names what is wrong with a broken selector that chooses for all hypotheses at once."""

from __future__ import annotations

from typing import Any

import pytest

from decodeplug.contracts import Rows
from decodeplug.selectors import Beam
from decodeplug.testing import check_selector
from decodeplug.values import Extension


class Changed(Beam):
    """Beam search with its decisions changed."""

    def extend(self, candidates: Any, values: Any, rows: Rows) -> list[Extension]:
        return self.changed(Beam.extend(self, candidates, values, rows), rows)

    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return found


class HasNoWidth(Changed):
    width: Any = None


class ContinuesNobody(Changed):
    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return []


class SaysItTwice(Changed):
    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return [*found, found[0]]


class ExtendsAStranger(Changed):
    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return [one._replace(parent=one.parent + 1) for one in found]


class CountsRowsFromOne(Changed):
    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return [one._replace(rows=range(one.rows.start + 1, one.rows.stop + 1)) for one in found]


class ForgetsTheScoreSoFar(Changed):
    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return [one._replace(score=one.score - rows.lanes[one.parent].score) for one in found]


class OrdersByPlace(Changed):
    """Of hypotheses, prefers the one that stands first."""

    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        return [one._replace(score=one.score - one.parent) for one in found]


class FollowsOneLaneOnly(Changed):
    """Keeps the draft of the first lane, although the others have not come so far."""

    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        drafted, first = rows.drafts[0].tokens, rows.first[0]
        if len(drafted) < 2:
            return found
        longer = Extension(0, drafted, range(first, first + len(drafted)), rows.lanes[0].score - 0.5)
        return [longer, *(one for one in found if one.tokens != drafted or one.parent)]


class GoesOnBehindTheEnd(Changed):
    """Does not ask whether a text ends."""

    def extend(self, candidates: Any, values: Any, rows: Rows) -> list[Extension]:
        return Beam.extend(self, candidates, values, Rows(rows.lanes, rows.drafts))


class RemembersItsCalls(Changed):
    calls: list[int] = []  # noqa: RUF012 - that is what is wrong with it

    def changed(self, found: list[Extension], rows: Rows) -> list[Extension]:
        self.calls.append(1)
        return [one._replace(score=one.score - 0.001 * len(self.calls)) for one in found]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (HasNoWidth(), "has no width"),
        (ContinuesNobody(), "continues none of 1 lanes"),
        (SaysItTwice(), "has one hypothesis twice"),
        (ExtendsAStranger(), "extends lane 1 of 1"),
        (CountsRowsFromOne(), "but its rows begin at"),
        (ForgetsTheScoreSoFar(), "with drafts"),
        (OrdersByPlace(), "with its lanes in another order"),
        (FollowsOneLaneOnly(), "with drafts|goes on behind its end|has one hypothesis twice"),
        (GoesOnBehindTheEnd(), "goes on behind its end"),
        (RemembersItsCalls(), "is not pure"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_joint_selector_is_named(broken: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_selector(broken)
