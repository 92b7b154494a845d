"""What the template processor promises."""

import math

import pytest
import torch
from decodeplug.plugin import BadOption, Plugins, Seen
from decodeplug.testing import check_processor

from decodeplug_template.processor import Template


@pytest.mark.parametrize("processor", [Template(), Template(strength=3.5, window=1), Template(strength=0)])
def test_the_laws_of_processors_hold(processor: Template) -> None:
    check_processor(processor)


def test_a_host_finds_it_by_name_and_gives_it_its_options() -> None:
    plugins = Plugins.load(["decodeplug-template"])
    assert plugins.failures == []
    assert plugins.registry.build("processor", "template=0.5,window=2") == Template(strength=0.5, window=2)


def test_a_recent_token_is_lowered_once_and_an_old_one_not_at_all() -> None:
    scores = torch.zeros(1, 5)
    lowered = Template(strength=2.0, window=3)(scores, Seen.of([[4, 1, 2, 1]]))
    assert lowered.tolist() == [[0.0, -2.0, -2.0, 0.0, 0.0]]
    assert not scores.any()


@pytest.mark.parametrize("strength", [-1.0, math.inf, math.nan])
def test_a_strength_out_of_range_is_refused_by_name(strength: float) -> None:
    with pytest.raises(BadOption, match=r"template: strength=.* wanted a finite number, 0 or more"):
        Template(strength=strength)


def test_a_window_without_positions_is_refused() -> None:
    with pytest.raises(BadOption, match=r"template: window=0, but wanted a whole number, 1 or more"):
        Template(window=0)
