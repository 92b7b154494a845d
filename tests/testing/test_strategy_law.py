"""``check_strategy`` lets sound strategies pass and names what is wrong with broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from heads.guessing import random_heads

from decodeplug import Host, hookimpl
from decodeplug.drafters import HeadDrafts
from decodeplug.jury import Decision
from decodeplug.selectors import Match
from decodeplug.strategies import (
    BeamSearch,
    BestOfN,
    Greedy,
    MultiTokenPrediction,
    Sample,
    SelfConsistency,
    Speculative,
)
from decodeplug.testing import byte_tokenizer, check_strategy, like, tiny_model

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


class Hasty(SelfConsistency):
    """Believes the first two that agree."""

    def is_settled(self, paths: Any, running: int) -> bool:
        return len(paths) > 1


class Forgetful(SelfConsistency):
    """Reads another answer each time."""

    def answer_of(self, path: Any) -> Any:
        return object()


class Fickle(BestOfN):
    """Changes its mind when it is asked about the same paths again."""

    last: ClassVar[Any] = None

    def decide(self, paths: Any) -> Decision:
        again, Fickle.last = paths is Fickle.last, paths
        return Decision(list(range(len(paths)))[:: -1 if again else 1])


class Short(BestOfN):
    """Ranks the texts that it was given in a host, and no others."""

    def decide(self, paths: Any) -> Decision:
        return Decision(list(range(len(paths))) if len({id(path) for path in paths}) == len(paths) else [0])


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (Greedy(), {}),
        (Sample(), {}),
        (BeamSearch(), {}),
        (Speculative(), {"assistant": like(MODEL, strength=0.3), "drafters": ["assistant=num_tokens=3"]}),
        (MultiTokenPrediction(), {"drafters": [HeadDrafts(heads=random_heads(MODEL, "recurrent"), num_tokens=2)]}),
        (SelfConsistency(n=5, answer="[a-z]"), {}),
        (BestOfN(n=3), {}),
        (BestOfN(n=3, scorer="sum"), {}),
    ],
)
def test_a_sound_strategy_passes(strategy: Any, options: dict[str, Any]) -> None:
    host = Host(MODEL, TOKENIZER, plugins=[])
    check_strategy(strategy, host, **options)
    if options:
        steps = host.generate("a", strategy=strategy, max_new_tokens=16, **options).trace.steps
        assert any(step.drafted for step in steps), "its drafts were judged"


def test_a_strategy_that_brings_heads_of_a_folder_passes(tmp_path: Path) -> None:
    random_heads(MODEL, "independent").save(tmp_path, {})
    check_strategy(MultiTokenPrediction(heads=str(tmp_path)), Host(MODEL, TOKENIZER, plugins=[]))


@pytest.mark.parametrize(
    ("strategy", "selector", "says"),
    [
        (made(name=""), Match, "does not declare its name"),
        (made(samples="yes"), Match, "not True, False or None"),
        (made(name="other"), Match, "knows no strategy other"),
        (made(selector="none such"), Match, "there is no selector"),
        (made(drafters=("none such",)), Match, "there is no drafter"),
        (made(drafters_for=lambda self, model, named: [{"name": "none such"}]), Match, "there is no drafter"),
        (made(drafters_for=lambda self, model, named: model.no_such_thing), Match, "drafters_for failed"),
        (made(selector="own"), lambda sample=False: RollsDice(), "draws noise although"),
        (made(samples=True, selector="own"), lambda sample=False: Match(), "draws no noise although"),
    ],
    ids=["name", "samples", "unknown", "selector", "drafter", "chosen drafter", "choice", "noise", "no noise"],
)
def test_a_broken_strategy_is_named(strategy: Any, selector: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_strategy(strategy, host_with(strategy, selector))


@pytest.mark.parametrize(
    ("jury", "says"),
    [
        (Hasty(n=5, answer="[a-z]"), "was settled, and turned into"),
        (Forgetful(n=3, answer="[a-z]", weights="likelihood"), "reads another answer the second time"),
        (Fickle(n=2), "decides otherwise the second time"),
        (Short(n=3), "does not have each of"),
    ],
)
def test_a_broken_jury_is_named(jury: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_strategy(jury, Host(MODEL, TOKENIZER, plugins=[]))
