"""What the echo plugin promises."""

import math

import pytest
import torch
from decodeplug.plugin import BadOption, LaneView, Plugins, Seen
from decodeplug.testing import check_drafter, check_processor

from decodeplug_echo import Listener
from decodeplug_echo.drafter import Echo
from decodeplug_echo.processor import EchoBonus


def test_both_parts_are_found_by_name() -> None:
    registry = Plugins.load(["decodeplug-echo"]).registry
    assert registry.build("drafter", "echo=2") == Echo(2)
    assert registry.build("processor", "echo") == EchoBonus()


def test_the_laws_of_processors_hold() -> None:
    check_processor(EchoBonus())


def test_the_laws_of_drafters_hold() -> None:
    check_drafter(Echo())


@pytest.mark.parametrize(("room", "tokens"), [(0, ()), (1, (2,)), (2, (2, 3)), (9, (2, 3))])
def test_a_draft_is_the_last_tokens_again_and_never_more_than_there_is_room_for(room: int, tokens: tuple[int]) -> None:
    draft = Echo(2).draft(LaneView(ids=[1, 2, 3], prompt_length=3), room)
    assert draft.tokens == tokens
    assert draft.sources == ("echo",) * len(tokens)


def test_the_bonus_goes_to_seen_tokens_once_each() -> None:
    raised = EchoBonus(1.5)(torch.zeros(2, 3), Seen.of([[1, 1], []]))
    assert raised.tolist() == [[0.0, 1.5, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("bonus", [-0.1, math.inf, math.nan])
def test_a_bonus_out_of_range_is_refused_by_name(bonus: float) -> None:
    with pytest.raises(BadOption, match="echo: bonus="):
        EchoBonus(bonus)


def test_a_drafter_of_nothing_is_refused() -> None:
    with pytest.raises(BadOption, match="echo: length=0"):
        Echo(0)


def test_the_listener_hears_in_order() -> None:
    listener = Listener()
    plugins = Plugins.load([listener])
    plugins.announce("decodeplug_request_started", request="request")
    plugins.announce("decodeplug_request_finished", request="request", result="result")
    assert listener.heard == [("request_started", "request"), ("request_finished", "result")]
