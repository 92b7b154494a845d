"""Which answer wins, by how much, and when nothing can change it any more."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from strategies.written_paths import path, paths

from decodeplug.errors import BadOption, PluginError
from decodeplug.strategies import SelfConsistency

VOTE = SelfConsistency(answer=".")


def test_the_answer_of_most_paths_wins_and_its_likeliest_text_is_the_result() -> None:
    decision = VOTE.decide(paths("a", "b", "b", "a", "b", logprobs=(-1, -3, -1, -0.1, -2)))
    assert list(decision.order) == [2, 4, 1, 3, 0]
    assert decision.agreement == 3 / 5


def test_a_draw_goes_to_the_answer_that_came_first() -> None:
    given = paths("a", "b", "b", "a", logprobs=(-9, -1, -1, -9))
    assert given[VOTE.decide(given).order[0]].answer == "a"


def test_paths_without_an_answer_have_no_vote_and_come_last() -> None:
    decision = VOTE.decide(paths(None, "b", None, None, logprobs=(-0.1, -9, -2, -1)))
    assert list(decision.order) == [1, 0, 3, 2]
    assert decision.agreement == 1.0


def test_where_nobody_has_an_answer_the_likeliest_text_comes_first() -> None:
    decision = VOTE.decide(paths(None, None, logprobs=(-2, -1)))
    assert list(decision.order) == [1, 0]
    assert decision.agreement == 0.0


def test_likely_paths_outweigh_many_unlikely_ones() -> None:
    given = paths("a", "b", "b", logprobs=(-0.1, -3, -3))
    decision = SelfConsistency(answer=".", weights="likelihood").decide(given)
    assert decision.order[0] == 0
    assert decision.agreement == pytest.approx(math.exp(-0.1) / (math.exp(-0.1) + 2 * math.exp(-3)))


def test_long_texts_are_not_unlikely_for_being_long() -> None:
    short, long = path(logprob=-1.0, tokens=2, answer="a"), path(logprob=-0.9, tokens=50, answer="b")
    assert SelfConsistency(answer=".", weights="likelihood").decide([short, long]).order[0] == 1


def test_a_function_weighs() -> None:
    decision = SelfConsistency(answer=".", weights=lambda p: 3 if p.answer == "c" else 1).decide(paths("a", "a", "c"))
    assert decision.order[0] == 2
    assert decision.agreement == 3 / 5


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, "much", None])
def test_a_weight_that_is_none_names_the_function(wrong: Any) -> None:
    def heft(result: Any) -> Any:
        return wrong

    with pytest.raises(PluginError, match=r"heft of plugin .* failed in weights") as caught:
        SelfConsistency(answer=".", weights=heft).decide(paths("a"))
    assert caught.value.part == "heft"


def test_weights_of_nothing_are_no_agreement() -> None:
    assert SelfConsistency(answer=".", weights=lambda p: 0).decide(paths("a", "b")).agreement == 0.0


@pytest.mark.parametrize("answers", list(itertools.product([None, "a", "b"], repeat=4)))
def test_a_vote_is_settled_exactly_when_no_rest_could_change_it(answers: tuple[Any, ...]) -> None:
    given = paths(*answers)
    for running in range(4):
        winners = {
            [*answers, *rest][VOTE.decide(paths(*answers, *rest)).order[0]]
            for rest in itertools.product([None, "a", "b", "c"], repeat=running)
        }
        settled = VOTE.is_settled(given, running)
        assert not settled or len(winners) == 1
        if len(winners) == 1 and not settled:  # a draw might yet be won by a path with a lower number
            votes = sorted((answers.count("a"), answers.count("b")))
            assert votes[1] <= votes[0] + running


@pytest.mark.parametrize("weights", ["likelihood", len])
def test_only_counted_votes_are_settled_early(weights: Any) -> None:
    assert not SelfConsistency(answer=".", weights=weights).is_settled(paths("a", "a", "a"), 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 0}, "n=0, but wanted a whole number of at least 1"),
        ({"n": 2.5}, "n=2.5"),
        ({"n": True}, "n=True"),
        ({"weights": "length"}, "'count', 'likelihood', or a function"),
        ({"answer": "["}, "a regular expression"),
    ],
)
def test_a_wrong_option_is_refused_when_it_is_given(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        SelfConsistency(**options)
