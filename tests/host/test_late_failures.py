"""Parts that fail at the door or in the end: each fails its own request, and the others have what they have alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from decodeplug import Host, Request, hookimpl, regex
from decodeplug.errors import PluginError
from decodeplug.jury import Decision
from decodeplug.selectors import Beam
from decodeplug.strategies import SelfConsistency
from decodeplug.values import Draft

PROMPT = "The bear "
GOOD = Request("The red bear ", max_new_tokens=9, end_ids=[])


def raising(*_: Any) -> Any:
    raise RuntimeError("no ink")


class Drafts:
    """Says what it is made to say."""

    name: Any = "strange"
    prior: Any = 0.9

    def __init__(self, **changes: Any) -> None:
        vars(self).update(changes)

    def draft(self, lane: Any, room: int) -> Draft:
        return Draft((5,), self.sources if hasattr(self, "sources") else (self.name,))


class Beams:
    """A plugin whose strategy has beams with a selector that fails at one place."""

    def __init__(self, place: str) -> None:
        says = {"is_settled too early": lambda *_: True, "is_settled by two": lambda *_: torch.ones(2)}
        self.made = type("Wrong", (Beam,), {place.split()[0]: says.get(place, raising), "name": "wrong"})

    @hookimpl
    def decodeplug_register(self, registry: Any) -> None:
        registry.selector("wrong", self.made)
        registry.strategy("wrong", lambda: Wrong())


class Wrong:
    name, samples, drafters, selector, options = "wrong", False, (), "wrong", ("num_beams",)


class Jury(SelfConsistency):
    """Fails at one place."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(n=3, answer="[aeiou]")
        for name, value in changes.items():
            object.__setattr__(self, name, value)


class Choosy:
    """A strategy whose choice of drafters fails."""

    name, samples, drafters, selector = "choosy", False, (), "match"
    drafters_for = raising


class Worthless:
    """A constraint whose text is fine and whose value cannot be had."""

    kind = "worthless"

    def key(self) -> str:
        return self.kind

    def compile(self, vocabulary: Any) -> Any:
        return regex("[a-z]{3,9}").compile(vocabulary)

    def value(self, text: str) -> str:
        return raising()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"drafters": [Drafts(prior=None)]}, "strange.*prior"),
        ({"drafters": [Drafts(prior="much")]}, "strange.*prior"),
        ({"drafters": [Drafts(prior=1.5)]}, "strange.*prior"),
        ({"drafters": [Drafts(sources=(7,))]}, "strange.*no name"),
        ({"drafters": [Drafts(sources=([],))]}, "strange.*no name"),
        ({"strategy": Choosy()}, "choosy.*no ink"),
        ({"strategy": Jury(lanes=raising)}, "lanes.*no ink"),
        ({"strategy": Jury(lanes=lambda request: None)}, "lanes.*whole number"),
        ({"strategy": Jury(decide=lambda paths: Decision((None, 0, 1)))}, "decide"),
        ({"strategy": Jury(decide=lambda paths: Decision((0, 1, 2), scores=None))}, "decide"),
        ({"constraint": Worthless(), "max_new_tokens": 20}, "worthless.*value.*no ink"),
        ({"strategy": Jury(decide=lambda paths: Decision((0.0, 1.0, 2.0)))}, "decide"),
        ({"strategy": Jury(decide=lambda paths: Decision({0, 1, 2}))}, None),
        ({"strategy": Jury(is_settled=lambda paths, running: torch.ones(2))}, "is_settled"),
    ],
)
def test_it_is_named_and_the_others_go_on(host: Host, options: dict[str, Any], names: str | None) -> None:
    rows = [GOOD, Request(PROMPT, **{"max_new_tokens": 6, "seed": 1, **options}), GOOD]
    first, failed, last = host.generate_batch(rows, return_errors=True)
    assert first.token_ids == last.token_ids == host.generate(GOOD.prompt, **GOOD.options).token_ids
    if names is None:
        assert failed.error is None
        return
    assert isinstance(failed.error, PluginError)
    with pytest.raises(PluginError, match=f"(?s){names}"):
        raise failed.error


@pytest.mark.parametrize("place", ["worth", "is_settled", "is_settled too early", "is_settled by two"])
def test_a_joint_selector_that_fails_late_is_named_and_the_others_go_on(model: Any, tokenizer: Any, place: str) -> None:
    host = Host(model, tokenizer, plugins=[Beams(place)])
    beams = Request(PROMPT, strategy="wrong", num_beams=3, max_new_tokens=6)
    first, failed, last = host.generate_batch([GOOD, beams, GOOD], return_errors=True)
    assert first.token_ids == last.token_ids == host.generate(GOOD.prompt, **GOOD.options).token_ids
    assert isinstance(failed.error, PluginError)
    assert place.split()[0] in str(failed.error)


def test_what_ends_a_run_does_not_end_those_that_have_not_begun(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Host(model, tokenizer, plugins=[], max_batch=1) as host:
        opened = host.target.session
        calls = []

        def session(cache: Any = "dense", **options: Any) -> Any:
            calls.append(cache)
            if len(calls) == 1:
                raise MemoryError("no room")
            return opened(cache, **options)

        monkeypatch.setattr(host.target, "session", session)
        handles = [host.submit(GOOD) for _ in range(3)]
        outcomes = [_error(handle) for handle in handles]
        assert isinstance(outcomes[0], MemoryError)
        assert outcomes[1:] == [None, None]


def test_who_was_only_looked_at_goes_on_when_the_run_of_another_ends(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Host(model, tokenizer, plugins=[], max_batch=1) as host:
        opened, forwards = host.target.session, []

        def session(cache: Any = "dense", **options: Any) -> Any:
            inner = opened(cache, **options)
            forward = inner.forward

            def failing(*given: Any) -> Any:
                forwards.append(given)
                if len(forwards) == 3:
                    raise MemoryError("no room")
                return forward(*given)

            inner.forward = failing
            return inner

        monkeypatch.setattr(host.target, "session", session)
        outcomes = [_error(handle) for handle in [host.submit(GOOD) for _ in range(3)]]
        assert isinstance(outcomes[0], MemoryError)
        assert outcomes[1:] == [None, None]


def _error(handle: Any) -> BaseException | None:
    try:
        handle.result(timeout=60)
    except BaseException as error:
        return error
    return None
