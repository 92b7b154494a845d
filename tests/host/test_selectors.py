"""What a selector returns is checked before it is used: its own request fails, by name, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from decodeplug import Host, PluginError, Request, hookimpl
from decodeplug.plugin import Proposal
from decodeplug.selectors import Match
from decodeplug.values import Extension

PROMPT = "The red bear "


class Wrong(Match):
    """Extends as it is told."""

    def __init__(self, extend: Callable[[Any, Any], list[Extension]]) -> None:
        object.__setattr__(self, "wrong", extend)
        super().__init__()

    __slots__ = ("wrong",)

    def extend(self, candidates: Any, values: Any, rows: Any) -> list[Extension]:
        return self.wrong(candidates, rows)


class FewMargins(Match):
    def propose(self, scores: Any, rows: Any) -> Proposal:
        candidates, values, _ = super().propose(scores, rows)
        return Proposal(candidates, values, [])


def first(candidates: Any) -> int:
    return candidates[0][0]


WRONG: dict[str, tuple[Any, str]] = {
    "stranger": (Wrong(lambda c, rows: [Extension(99, (first(c),), range(1))]), "none of the 1 lanes"),
    "a row that is not there": (Wrong(lambda c, rows: [Extension(0, (first(c),), range(7, 8))]), "not rows of that"),
    "no token": (Wrong(lambda c, rows: [Extension(0, (), range(0))]), "not rows of that lane"),
    "more tokens than rows": (Wrong(lambda c, rows: [Extension(0, (first(c),) * 2, range(2))]), "not rows of that"),
    "a lane twice": (Wrong(lambda c, rows: [Extension(0, (first(c),), range(1))] * 2), "one lane twice"),
    "a token of its own": (Wrong(lambda c, rows: [Extension(0, (99_999,), range(1))]), "but proposed"),
    "too few margins": (FewMargins(), "or not as many values"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_selector_that_returns_something_else_is_named_and_the_others_go_on(
    case: str, model: Any, tokenizer: Any
) -> None:
    selector, says = WRONG[case]

    class WrongStrategy:
        name, samples, drafters, selector = "wrong", False, (), "wrong"

    class Plugin:
        @hookimpl
        def decodeplug_register(self, registry: Any) -> None:
            registry.selector("wrong", lambda sample=False: selector)
            registry.strategy("wrong", WrongStrategy)

    rows = [Request(PROMPT, max_new_tokens=3), Request(PROMPT, max_new_tokens=3, strategy="wrong")]
    good, failed = Host(model, tokenizer, plugins=[Plugin()]).generate_batch(rows, return_errors=True)
    assert good.error is None
    assert isinstance(failed.error, PluginError)
    with pytest.raises(PluginError, match=says):
        raise failed.error
