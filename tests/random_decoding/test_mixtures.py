"""What is written at random under constraints of every kind, and of several, has a value."""

from __future__ import annotations

import random

import pytest
from random_decoding.checks import check_texts
from random_decoding.chooser import VOCABULARIES
from random_decoding.mixtures import MIXTURES


def check_mixture(name: str, vocabulary: str, count: int) -> None:
    chance = random.Random(f"{name} {vocabulary}")
    assert check_texts(lambda: MIXTURES[name], str, VOCABULARIES[vocabulary], chance, count) == count


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", MIXTURES)
def test_random_texts_have_a_value(name: str, vocabulary: str) -> None:
    check_mixture(name, vocabulary, 5)


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", MIXTURES)
def test_many_random_texts_have_a_value(name: str, vocabulary: str) -> None:
    check_mixture(name, vocabulary, 60)
