"""What the processor promises, and that a host finds it."""

import math

import pytest
import torch
from decodeplug import Host
from decodeplug.plugin import BadOption, Plugins, Seen
from decodeplug.testing import byte_tokenizer, check_processor, tiny_model

from decodeplug_prefer_short.processor import PreferShort

END = 7


@pytest.mark.parametrize("processor", [PreferShort(), PreferShort(0.5, 2, [END]), PreferShort(3, 0, [END, 9])])
def test_the_laws_of_processors_hold(processor: PreferShort) -> None:
    check_processor(processor, end_ids=[END])


def test_a_host_finds_it_by_name_and_gives_it_its_options() -> None:
    plugins = Plugins.load(["decodeplug-prefer-short"])
    assert plugins.failures == []
    assert plugins.registry.build("processor", "prefer-short=0.2,after=40") == PreferShort(0.2, 40)


def test_the_end_gets_likelier_with_every_token_of_the_answer() -> None:
    rows = Seen.of([[1, 2], [1, 2, 3], [1, 2, 3, 4, 5]], [1, 1, 1])  # answers of 1, 2 and 4 tokens
    raised = PreferShort(0.5, 1, [END])(torch.zeros(3, 10), rows)
    assert raised[:, END].tolist() == [0.0, 0.5, 1.5]
    assert raised.count_nonzero() == 2


def test_answers_are_shorter_with_it() -> None:
    tokenizer = byte_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=["decodeplug-prefer-short"]) as host:
        plain = host.generate("The bear ", max_new_tokens=80)
        short = host.generate("The bear ", processors=["prefer-short=2,after=5"], max_new_tokens=80)
    assert len(short.token_ids) < len(plain.token_ids)
    assert short.finish_reason == "stop"


@pytest.mark.parametrize(
    ("options", "name"),
    [({"strength": -1.0}, "strength"), ({"strength": math.nan}, "strength"), ({"after": -1}, "after")],
)
def test_an_option_out_of_range_is_refused_by_name(options: dict[str, float], name: str) -> None:
    with pytest.raises(BadOption, match=f"prefer-short: {name}="):
        PreferShort(**options)
