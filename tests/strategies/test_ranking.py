"""Which of several texts is best."""

from __future__ import annotations

import math
from typing import Any

import pytest
from strategies.written_paths import path, paths

from decodeplug.errors import BadOption, PluginError
from decodeplug.strategies import BestOfN


def test_the_likeliest_text_per_token_is_best() -> None:
    short, long = path(logprob=-1.0, tokens=2), path(logprob=-0.9, tokens=50)
    decision = BestOfN().decide([short, long])
    assert list(decision.order) == [1, 0]
    assert decision.scores == pytest.approx([-1.0, -0.9])
    assert list(BestOfN(scorer="sum").decide([short, long]).order) == [0, 1]


def test_a_scorer_ranks_and_equal_scores_keep_their_order() -> None:
    decision = BestOfN(scorer=lambda result: len(result.text)).decide([path("ab"), path("abc"), path("xyz"), path("")])
    assert list(decision.order) == [1, 2, 0, 3]


def test_a_text_may_be_the_worst_there_is() -> None:
    scorer = {0: -math.inf, 1: -5.0}
    assert list(BestOfN(scorer=lambda result: scorer[result.hypothesis]).decide(paths(None, None)).order) == [1, 0]


@pytest.mark.parametrize("wrong", [math.nan, "good", None])
def test_a_scorer_that_gives_no_number_is_named(wrong: Any) -> None:
    def taste(result: Any) -> Any:
        return wrong

    with pytest.raises(PluginError, match=r"taste of plugin .* failed in scorer"):
        BestOfN(scorer=taste).decide([path()])


def test_it_waits_for_the_last_text() -> None:
    assert not BestOfN().is_settled([path()], 1)


@pytest.mark.parametrize(("options", "says"), [({"n": -1}, "n=-1"), ({"scorer": "best"}, "'mean', 'sum'")])
def test_a_wrong_option_is_refused_when_it_is_given(options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        BestOfN(**options)
