"""Training: heads get better, runs go on where they stopped, to the bit, and refuse to go on with something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from decodeplug import Host
from decodeplug.errors import BadOption
from decodeplug.files import read_tensors
from decodeplug.heads import Heads, Row, Settings, train_heads

MakeSettings = Callable[..., Settings]


def train(host: Host, texts: list[Row], folder: Path, settings: Settings, **options: Any) -> Any:
    return train_heads(host, texts, folder, settings, source="a test", **options)


@pytest.mark.parametrize("kind", ["independent", "recurrent"])
@pytest.mark.parametrize("objective", ["distribution", "argmax"])
def test_the_loss_falls(
    host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings, kind: str, objective: str
) -> None:
    losses: list[float] = []
    options = settings(kind=kind, objective=objective, steps=60, heads=1, rate=1e-2)
    train(host, texts, tmp_path, options, tell=lambda training: losses.append(training.loss))
    assert losses[-1] < 0.8 * losses[0]


def test_heads_foresee_what_they_have_learned(
    host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings
) -> None:
    # The texts of a random model have little in common: those that are held out are learned from, too.
    card = train(host, [*texts, *texts[1:]], tmp_path, settings(steps=90, heads=1, rate=1e-2))
    assert card.acceptance[0].share > 0.5


@pytest.mark.parametrize("kind", ["independent", "recurrent"])
def test_a_run_that_was_stopped_and_resumed_gives_the_weights_of_one_that_was_not(
    host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings, kind: str
) -> None:
    whole = train(host, texts, tmp_path / "whole", settings(kind=kind))
    done: list[int] = []
    first = train(
        host,
        texts,
        tmp_path / "parts",
        settings(kind=kind),
        tell=lambda training: done.append(training.step),
        stop=lambda: done[-1] == 3,
    )
    assert not first.is_finished
    assert first.steps == 3
    second = train(host, texts, tmp_path / "parts", settings(kind=kind), resume=True)
    assert second.is_finished
    assert second.steps == whole.steps == 6
    assert second.acceptance == whole.acceptance
    for file in ("heads.safetensors", "training.safetensors"):
        expected, found = (*(read_tensors(tmp_path / part / file, "heads", "")[0] for part in ("whole", "parts")),)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert torch.equal(value, found[name]), name


def test_a_stopped_run_leaves_heads_that_can_be_used(
    host: Host, texts: list[Row], model: Any, tmp_path: Path, settings: MakeSettings
) -> None:
    card = train(host, texts, tmp_path, settings(), stop=lambda: True)
    assert card.steps == 1
    assert Heads.load(tmp_path, model).count == 2
    assert "--resume" in (tmp_path / "README.md").read_text()


def test_another_seed_gives_other_weights(
    host: Host, texts: list[Row], model: Any, tmp_path: Path, settings: MakeSettings
) -> None:
    for seed in (0, 1):
        train(host, texts, tmp_path / str(seed), settings(seed=seed, steps=1))
    one, other = (Heads.load(tmp_path / str(seed), model).part.state_dict() for seed in (0, 1))
    assert not torch.equal(one["joined.weight"], other["joined.weight"])


def test_training_leaves_the_model_and_the_random_numbers_of_the_caller_alone(
    host: Host, texts: list[Row], model: Any, tmp_path: Path, settings: MakeSettings
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    numbers = torch.random.get_rng_state()
    train(host, texts, tmp_path, settings(steps=2))
    assert torch.equal(torch.random.get_rng_state(), numbers)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.lm_head._forward_pre_hooks


def test_only_the_files_that_belong_to_it_are_left(
    host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings
) -> None:
    train(host, texts, tmp_path, settings(steps=1))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"heads.safetensors", "training.safetensors", "card.json", "README.md"}


def test_a_checkpoint_is_not_written_over_unless_it_is_gone_on_with(
    host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings
) -> None:
    with pytest.raises(BadOption, match="no --resume"):
        train(host, texts, tmp_path, settings(), resume=True)
    train(host, texts, tmp_path, settings(steps=1))
    with pytest.raises(BadOption, match="or --resume"):
        train(host, texts, tmp_path, settings())


def test_a_run_is_resumed_with_the_same_options_and_text_only(
    host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings
) -> None:
    train(host, texts, tmp_path, settings(steps=1))
    with pytest.raises(BadOption, match="the same options"):
        train(host, texts, tmp_path, settings(batch=4), resume=True)
    with pytest.raises(BadOption, match="the same text"):
        train(host, texts[1:], tmp_path, settings(), resume=True)


def test_the_card_says_what_was_measured(host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings) -> None:
    card = train(host, texts, tmp_path, settings())
    facts = json.loads((tmp_path / "card.json").read_text())
    assert facts["identity"] == card.identity.to_dict()
    assert facts["acceptance"] == card.to_dict()["acceptance"]
    assert facts["text_tokens"] == sum(len(row.ids) for row in texts) * 30 // 32  # every sixteenth row is held out
    assert facts["acceptance"][0]["positions"] == 2 * 40
    assert facts["tokens_per_forward"] == pytest.approx(1 + sum(head.chained for head in card.acceptance))
    page = (tmp_path / "README.md").read_text()
    assert f"{card.acceptance[0].share:.3f}" in page


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "medusa"}, "kind='medusa', but wanted one of independent, recurrent"),
        ({"objective": "feature"}, "one of distribution, argmax"),
        ({"heads": 0}, "heads=0, but wanted at least 1"),
        ({"vocab": 1}, "at least 2"),
        ({"batch": 0}, "at least 1"),
        ({"width": 8}, "at least 16"),
        ({"seed": -1}, "at least 0"),
        ({"steps": 0}, "above 0"),
        ({"steps": None}, "a number of steps or of minutes"),
        ({"steps": None, "minutes": 0.0}, "above 0"),
        ({"rate": -1.0}, "above 0"),
    ],
)
def test_settings_say_which_value_is_wrong(settings: MakeSettings, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        settings(**options)


def test_minutes_end_a_training_too(host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings) -> None:
    card = train(host, texts, tmp_path, settings(steps=None, minutes=0.001))
    assert card.is_finished
    assert card.minutes >= 0.001


def test_too_little_text_is_refused(host: Host, texts: list[Row], tmp_path: Path, settings: MakeSettings) -> None:
    with pytest.raises(BadOption, match="at least two rows"):
        train(host, texts[:1], tmp_path, settings())
