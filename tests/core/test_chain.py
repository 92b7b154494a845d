"""The chain of drafters, and what the length of a draft is weighed by: the cost and the width of forwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from decodeplug import Host
from decodeplug.drafters import Chain, Lookup
from decodeplug.drafters.measured import MeasuredPrice
from decodeplug.drafting import drafts_of, judged
from decodeplug.errors import BadOption
from decodeplug.failure import PartFailure
from decodeplug.lane import Job, Lane, Plan
from decodeplug.rules import Rules
from decodeplug.selectors import Match
from decodeplug.testing import tiny_model
from decodeplug.trace import Step, Trace
from decodeplug.values import Draft, LaneView, Record
from decodeplug.widths import WidthCosts

LANE = LaneView([1, 2, 3], 3)


@dataclass(frozen=True)
class Says:
    """Drafts what it was given, or raises it."""

    answer: Any
    name: ClassVar[str] = "says"
    prior: ClassVar[float] = 0.9

    def draft(self, lane: LaneView, room: int) -> Draft:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_drafters_continue_one_another_within_the_room() -> None:
    draft = Chain([Says(Draft((4, 5, 6), ("says",) * 3))], max_tokens=8).draft(LANE, 5)
    assert draft == Draft((4, 5, 6, 4, 5), ("says",) * 5)


@pytest.mark.parametrize(("cost", "drafted"), [(1.88, 1), (1.92, 0)])
def test_a_draft_that_promises_less_than_none_is_not_made_for_being_nearly_as_good(cost: float, drafted: int) -> None:
    lane = replace(LANE, cost=lambda width: 1.0 if width == 1 else cost, forward_s=0.0)
    assert len(Chain([Says(Draft((4,), ("says",)))]).draft(lane, 1)) == drafted, "1.9 tokens are expected"


@pytest.mark.parametrize("drafters", ["lookup", ["lookup"], [Lookup], [None], 3])
def test_a_chain_of_names_is_refused_and_says_how_drafters_are_named(drafters: Any) -> None:
    with pytest.raises(BadOption, match=r'drafters=\["forced", "lookup"\]') as caught:
        Chain(drafters)
    assert caught.value.options == {"drafters": drafters}


def test_a_drafter_that_fails_inside_a_chain_is_named() -> None:
    guilty = Says(KeyError("lost"))
    with pytest.raises(PartFailure) as caught:
        Chain([Lookup(), guilty]).draft(LANE, 4)
    assert caught.value.part is guilty
    assert caught.value.cause is caught.value.__cause__ is guilty.answer


def test_a_chain_within_a_chain_names_the_drafter_and_not_itself() -> None:
    guilty = Says(KeyError("lost"))
    with pytest.raises(PartFailure) as caught:
        Chain([Chain([guilty])]).draft(LANE, 4)
    assert caught.value.part is guilty


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "NoneType where a Draft was wanted"),
        ([4, 5], "list where a Draft was wanted"),
        (Draft((4, 5.0), ("says",) * 2), r"5\.0 is no token id"),
        (Draft((True,), ("says",)), "True is no token id"),
        (Draft((-1,), ("says",)), "-1 is no token id"),
        (Draft((4, 5), ("says",)), "1 sources for 2 tokens"),
        (Draft((4, 5), ("says",) * 2, confidence=(0.5,)), "sure of 1 of 2 tokens"),
        (Draft((4,), ("says",), confidence=(1.5,)), "1.5 is no confidence"),
        (Draft((4,), ("says",), paid=(("says", float("nan")),)), "nan is no price"),
        (Draft((4,), ("says",), paid=(("says", float("inf")),)), "inf is no price"),
        (Draft((4,), ("says",), (None, None)), "2 distributions for 1 tokens"),
    ],
)
def test_what_is_no_draft_is_the_drafters_failure(answer: Any, message: str) -> None:
    guilty = Says(answer)
    with pytest.raises(PartFailure, match=message) as caught:
        Chain([guilty]).draft(LANE, 4)
    assert caught.value.part is guilty
    assert isinstance(caught.value.cause, TypeError)
    failures: list[tuple[object, BaseException]] = []
    drafts_of([(0, guilty, LANE, 4)], lambda lane, part, cause: failures.append((part, cause)))
    assert failures[0][0] is guilty
    assert isinstance(failures[0][1], TypeError)


def test_a_constraint_that_fails_under_a_draft_is_named_instead_of_the_drafter() -> None:
    class Broken:
        def advance(self, state: Any, token: int) -> Any:
            raise RuntimeError("stuck")

    constraint = Broken()
    with pytest.raises(PartFailure, match="stuck") as caught:
        Chain([Says(Draft((4,), ("says",)))]).draft(LaneView([1], 1, constraint=constraint), 4)
    assert caught.value.part is constraint


def drafted(lane: LaneView, drafter: Any) -> int:
    return len(Chain([drafter]).draft(lane, 16))


def test_what_drafts_have_lost_is_not_risked_again_until_enough_text_came_without() -> None:
    guess = Says(Draft((4,), ("says",)))
    unsure = Record(8, 4, trials=8.0, hits=6.0)
    fresh = LaneView([1] * 10, 10, records={"says": unsure}, cost=lambda width: 1.0 + 0.6 * (width - 1) ** 2)
    lost = replace(fresh, records={"says": replace(unsure, saved=-1.0)})
    assert drafted(fresh, guess) == 1
    assert drafted(lost, guess) == 0
    assert drafted(replace(lost, ids=[1] * 90), guess) == 1, "80 tokens later there is something to risk"
    others = {"says": unsure, "other": replace(unsure, saved=-1.0)}
    assert drafted(replace(fresh, records=others), guess) == 0, "all drafters lose on one account"
    others = {"says": replace(unsure, saved=-1.0), "other": replace(unsure, saved=2.0)}
    assert drafted(replace(fresh, records=others), guess) == 1, "what others won may be risked"


def test_what_promises_much_is_tried_until_a_forward_more_was_lost() -> None:
    guess = Says(Draft((4,) * 8, ("says",) * 8))
    records = {"says": Record(8, 6, trials=8.0, hits=6.0, saved=-1.0), "other": Record(8, 0, trials=8.0, saved=-0.5)}
    lane = LaneView([1] * 10, 10, records=records, cost=lambda width: 1.0 + 0.05 * width)
    assert drafted(lane, guess) > 4
    assert drafted(replace(lane, cost=lambda width: 1.0 + 0.9 * (width - 1)), guess) == 0
    records["other"] = Record(8, 0, trials=8.0, saved=-1.1)
    assert drafted(replace(lane, records=records), guess) == 0


def test_the_longer_a_draft_the_more_it_risks() -> None:
    guess = Says(Draft((4,) * 16, ("says",) * 16))

    def lane(saved: float) -> LaneView:
        records = {"says": Record(8, 8, trials=20.0, hits=9.0, saved=saved)}
        return LaneView([1] * 10, 10, records=records, cost=lambda width: 1.1 + 0.1 * width)

    assert drafted(lane(100.0), guess) > drafted(lane(-0.8), guess) > 0


@pytest.mark.parametrize(("dearer", "length"), [(1.0, 2), (1.06, 2), (1.08, 1)])
def test_a_longer_draft_is_taken_where_it_promises_nearly_as_much_for_its_cost(dearer: float, length: int) -> None:
    twice = Says(Draft((4, 4), ("says", "says")))
    records = {"says": Record(90, 90, trials=90.0, hits=90.0, saved=9.0)}
    rate = records["says"].rate(0.5)
    costs = {2: 1.1, 3: dearer * 1.1 * (1 + rate + rate**2) / (1 + rate)}
    lane = LaneView([1] * 10, 10, records=records, cost=lambda width: costs.get(width, 1.0))
    assert len(Chain([twice], max_tokens=2).draft(lane, 16)) == length


def test_what_is_all_but_certain_is_drafted_whatever_was_lost_on_guesses() -> None:
    certain = Says(Draft((4,), ("says",)))
    records = {"says": Record(90, 90, trials=90.0, hits=90.0, saved=-0.9)}
    assert drafted(LaneView([1] * 10, 10, records=records, cost=lambda width: 1.5), certain) > 0


def test_what_a_turn_took_is_counted_against_those_whom_it_was_for() -> None:
    draft = Draft((4, 5, 6), ("says", "says", "other"), paid=(("other", 0.5), ("silent", 0.25)))
    records = judged({}, draft, kept=2, ended=False, spent=1.6)
    assert records["says"].saved == pytest.approx(2 - 0.4)
    assert records["other"].saved == pytest.approx(-0.5 - 0.2)
    assert records["silent"].saved == pytest.approx(-0.25), "it was asked, and nothing of it was drafted"
    unknown = judged(records, draft, kept=3, ended=False)
    assert unknown["says"].saved == records["says"].saved, "a prompt was read in the same turn"
    assert unknown["other"].saved == pytest.approx(records["other"].saved - 0.5)


def test_a_draft_ends_where_its_drafter_is_no_longer_sure() -> None:
    lane = LaneView([1] * 10, 10, cost=lambda width: 0.9 + 0.1 * width)
    unsure = Says(Draft((4,) * 4, ("says",) * 4, confidence=(0.9, 0.8, 0.0, 0.9)))
    assert drafted(lane, unsure) == 2
    assert drafted(lane, Says(Draft((4,) * 4, ("says",) * 4, confidence=(None,) * 4))) > 4, "then the record says it"


@dataclass(frozen=True)
class Other(Says):
    """Another drafter."""

    name: ClassVar[str] = "other"
    prior: ClassVar[float] = 0.6


def test_who_promises_more_speaks_before_who_was_named_first() -> None:
    unsure, sure = Draft((4,), ("says",), confidence=(0.1,)), Draft((4,), ("says",), confidence=(0.9,))
    other = Other(Draft((5,), ("other",)))
    assert Chain([Says(unsure), other], max_tokens=1).draft(LANE, 1).tokens == (5,)
    assert Chain([Says(sure), other], max_tokens=1).draft(LANE, 1).tokens == (4,)
    modest = Other(Draft((5,), ("other",), confidence=(0.1,)))
    assert Chain([Says(Draft((4,), ("says",), confidence=(0.2,))), modest], max_tokens=1).draft(LANE, 1).tokens == (4,)


def test_confidence_is_trusted_as_far_as_it_was_justified() -> None:
    fresh, boaster, modest = Record(), Record(20, 5, 10.0, 2.0, 9.0), Record(20, 18, 10.0, 9.0, 3.0)
    assert fresh.rate(0.5, 0.9) == pytest.approx(0.7), "at first the prior has a say"
    assert boaster.rate(0.5, 0.9) < 0.4 < 0.6 < modest.rate(0.5, 0.3)
    assert 0 < boaster.rate(0.5, 0.4) < boaster.rate(0.5, 0.9), "who is less sure is right less often"
    assert modest.rate(0.5, 0.9) < 1
    assert fresh.rate(0.5, 0.0) == 0


def test_the_record_holds_what_was_hoped_for_beside_what_came() -> None:
    draft = Draft((4, 5, 6, 7), ("says", "says", "other", "other"), confidence=(0.5, 0.25))
    records = judged({}, draft, kept=3, ended=False)
    assert records["says"].expected == pytest.approx(0.5 * 0.92 + 0.25)
    assert records["says"].hits == pytest.approx(1.92)
    assert records["other"].expected == records["other"].hits == pytest.approx(0.92), "it did not say"


def test_drafts_keep_what_is_known_of_their_tokens() -> None:
    one, two = (
        Draft((4, 5), ("a",) * 2, paid=(("a", 0.5),)),
        Draft((6,), ("b",), confidence=(0.7,), paid=(("b", 0.25),)),
    )
    both = one + two
    assert [both.confidence_of(index) for index in range(3)] == [None, None, 0.7]
    assert both.paid == (("a", 0.5), ("b", 0.25))
    assert both.first(2).confidence == (None, None)
    assert both.first(0).paid == both.paid, "what was cut was paid for, too"


@pytest.mark.parametrize("price", [None, -1.0, float("nan"), "much"])
def test_a_price_that_is_none_is_its_drafters_failure(price: Any) -> None:
    class Wrong(Says):
        def price(self, lane: LaneView) -> Any:
            return price

    guilty = Wrong(Draft((4,), ("says",)))
    with pytest.raises(PartFailure) as caught:
        Chain([guilty]).draft(LANE, 4)
    assert caught.value.part is guilty


def test_what_it_took_to_read_a_prompt_is_no_part_of_the_price_of_a_token() -> None:
    price, lane = MeasuredPrice(0.3), LaneView([1], 1, forward_s=0.01)
    assert price.of(lane) == 0.3
    price.note(1.0, 3, read=2000)
    assert price.of(lane) == 0.3
    price.note(0.006, 3)
    assert price.of(lane) == pytest.approx(0.2)


def test_a_price_is_held_against_what_a_token_of_the_lane_takes() -> None:
    costs, price = WidthCosts(), MeasuredPrice()
    for _ in range(4):
        costs.record(1, 0.08, lanes=8)
    price.note(0.001, 1)
    job = Job([1], Plan((), Match()), Rules(9), Trace(), 0, drafter=Lookup())
    assert price.of(Lane(job, [1]).view(costs, 8)) == pytest.approx(0.1), (
        "of 8 lanes an eighth of a forward is each one's"
    )


@dataclass
class Pricey:
    """Dear, and sure of nothing."""

    asked: int = 0
    name: ClassVar[str] = "pricey"
    prior: ClassVar[float] = 0.9

    def price(self, lane: LaneView) -> float:
        return 0.3

    def draft(self, lane: LaneView, room: int) -> Draft:
        self.asked += 1
        return Draft((4,), (self.name,), confidence=(0.0,)) if room else Draft()


def test_what_is_paid_for_drafts_that_are_cut_to_nothing_is_bounded() -> None:
    pricey = Pricey()
    result = Host(tiny_model(), None, plugins=[]).generate([1, 2, 3], drafters=[pricey], max_new_tokens=100, end_ids=[])
    assert not any(step.drafted for step in result.trace.steps)
    assert 3 <= pricey.asked <= (1 + 0.015 * 100) / 0.3


def test_the_mean_width_leaves_out_the_prompt_of_every_lane() -> None:
    steps = [Step(10, width=9, lane=0), Step(10, width=9, lane=1), Step(11, width=2, lane=0), Step(11, width=4, lane=1)]
    assert Trace(steps=steps).mean_width == 3.0
    assert Trace(steps=steps[:2]).mean_width == 0.0
