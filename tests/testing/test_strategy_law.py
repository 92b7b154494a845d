"""``check_strategy`` lets sound strategies pass and names what is wrong with broken ones."""

from __future__ import annotations

from typing import Any

import pytest

from decodeplug import Host, hookimpl
from decodeplug.selectors import Match
from decodeplug.strategies import Greedy, Sample
from decodeplug.testing import byte_tokenizer, check_strategy, tiny_model

TOKENIZER = byte_tokenizer()
MODEL = tiny_model(vocab=len(TOKENIZER))


def made(**facts: Any) -> Any:
    return type("Made", (), {"name": "made", "samples": False, "selector": "match", "drafters": (), **facts})()


def host_with(strategy: Any, selector: Any = Match) -> Host:
    class Plugin:
        @hookimpl
        def decodeplug_register(self, registry: Any) -> None:
            registry.strategy("made", lambda: strategy)
            registry.selector("own", selector)

    return Host(MODEL, TOKENIZER, plugins=[Plugin()])


class RollsDice(Match):
    """Greedy by its word, and draws noise."""

    def propose(self, scores: Any, rows: Any) -> Any:
        return Match(sample=True).propose(scores, rows)


@pytest.mark.parametrize("strategy", [Greedy(), Sample()])
def test_a_sound_strategy_passes(strategy: Any) -> None:
    check_strategy(strategy, Host(MODEL, TOKENIZER, plugins=[]))


@pytest.mark.parametrize(
    ("strategy", "selector", "says"),
    [
        (made(name=""), Match, "does not declare its name"),
        (made(samples="yes"), Match, "not True, False or None"),
        (made(name="other"), Match, "knows no strategy other"),
        (made(selector="none such"), Match, "there is no selector"),
        (made(drafters=("none such",)), Match, "there is no drafter"),
        (made(selector="own"), lambda sample=False: RollsDice(), "draws noise although"),
        (made(samples=True, selector="own"), lambda sample=False: Match(), "draws no noise although"),
    ],
    ids=["name", "samples", "unknown", "selector", "drafter", "noise", "no noise"],
)
def test_a_broken_strategy_is_named(strategy: Any, selector: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_strategy(strategy, host_with(strategy, selector))
