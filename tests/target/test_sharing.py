"""Lanes that begin with the same ids are fed them once, on every path, and are right afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch
from families.precision import StaysInFloat64
from target.random_walk import compare

from decodeplug.contracts import Session
from decodeplug.taps import Taps
from decodeplug.target import SharedPrompts, Target
from decodeplug.testing import check_cache
from decodeplug.testing.families import family_model

PATHS = {
    "ragged": ["llama", "gemma3_text", "bert"],
    "grouped": ["qwen3_next", "mamba", "jamba"],
    "steps": ["xlstm", "deepseek_v4", "rwkv"],
    "recompute": ["openai-gpt"],
}
CASES = [(path, family) for path, families in PATHS.items() for family in families]
PROMPT = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


class Sharing:
    """A target whose sessions with a cache share prompts."""

    def __init__(self, target: Target) -> None:
        self.target, self.vocab_size = target, target.vocab_size

    def session(self, cache: str = "dense") -> Session:
        session = self.target.session(cache)
        return session if cache == "none" else SharedPrompts(session)


class Counted:
    """A session that counts the ids it is fed."""

    def __init__(self, inner: Session) -> None:
        self.inner, self.max_draft, self.fed, self.kept = inner, inner.max_draft, 0, list[list[int]]()
        self.watched: Sequence[torch.Tensor] = ()
        self.reused: Sequence[int] = ()

    def forward(
        self, feeds: Sequence[Sequence[int]], wants: Sequence[int], whole: Collection[int] = ()
    ) -> torch.Tensor:
        self.fed += sum(map(len, feeds))
        return self.inner.forward(feeds, wants, whole)

    def watch(self, taps: Taps) -> None:
        self.inner.watch(taps)

    def keep(self, parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
        self.kept.append(list(parents))
        return self.inner.keep(parents, lengths)

    def bytes(self) -> int:
        return self.inner.bytes()


def alone(target: Target, ids: list[int]) -> torch.Tensor:
    session = target.session("none")
    session.keep([-1], [0])
    return session.forward([ids], [1])[0]


@pytest.mark.parametrize(("path", "family"), CASES)
def test_lanes_of_one_prompt_are_fed_it_once_and_go_their_own_ways(path: str, family: str) -> None:
    target = Target(family_model(family))
    assert target.path == path
    counted = Counted(target.session())
    session = SharedPrompts(counted)
    oracle = target.session("none")
    oracle.keep([-1] * 4, [0] * 4)
    held = session.keep([-1] * 4, [0] * 4)
    texts = [PROMPT, PROMPT, [9, 9, 4], PROMPT]
    with StaysInFloat64():
        for step in range(4):
            feeds = [text[start:] for text, start in zip(texts, held, strict=True)]
            logits = session.forward(feeds, [1] * 4)
            torch.testing.assert_close(logits, oracle.forward(texts, [1] * 4), rtol=0, atol=2e-5)
            if step == 0:
                assert counted.fed == len(PROMPT) + 3
            held, _ = (one.keep(range(4), [len(text) for text in texts]) for one in (session, oracle))
            texts = [[*text, 20 + 10 * lane + step] for lane, text in enumerate(texts)]
    if path != "recompute":
        assert counted.fed == len(PROMPT) + 3 + 3 * 4


@pytest.mark.parametrize("family", ["llama", "qwen3_next", "xlstm", "bert"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_kept_dropped_forked_or_joined_the_logits_are_those_without_a_cache(family: str, seed: int) -> None:
    target: Any = Sharing(Target(family_model(family)))
    with StaysInFloat64():
        assert compare(target, seed) < (2e-5 if family == "xlstm" else 1e-9)


def test_sharing_keeps_the_law_of_a_cache() -> None:
    model = family_model("llama")
    check_cache(lambda: SharedPrompts(Target(model).session()), model, steps=20)


def test_lanes_that_shared_a_prompt_may_be_fed_again_before_anything_is_kept() -> None:
    target = Target(family_model("llama"))
    session = SharedPrompts(target.session())
    session.keep([-1, -1], [0, 0])
    session.forward([PROMPT, PROMPT], [1, 1])
    logits = session.forward([[20], [30]], [1, 1])
    expected = torch.stack([alone(target, [*PROMPT, 20]), alone(target, [*PROMPT, 30])])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)


def test_forks_of_one_prompt_may_keep_different_lengths_of_it() -> None:
    target = Target(family_model("llama"))
    session = SharedPrompts(target.session())
    session.keep([-1, -1, -1], [0, 0, 0])
    session.forward([PROMPT] * 3, [3] * 3)
    assert session.keep([2, 0, 1], [10, 8, 9]) == [10, 8, 9]
    logits = session.forward([[20], [30], [40]], [1, 1, 1])
    texts = [[*PROMPT, 20], [*PROMPT[:8], 30], [*PROMPT[:9], 40]]
    torch.testing.assert_close(logits, torch.stack([alone(target, text) for text in texts]), rtol=0, atol=1e-9)


def test_a_lane_that_was_fed_nothing_yet_waits_for_its_prompt() -> None:
    target = Target(family_model("llama"))
    session = SharedPrompts(target.session())
    session.keep([-1, -1], [0, 0])
    torch.testing.assert_close(session.forward([[], PROMPT], [0, 1])[0], alone(target, PROMPT), rtol=0, atol=1e-9)
    assert session.keep([0, 1, 0], [0, 10, 0]) == [0, 10, 0]
    logits = session.forward([PROMPT, [20], PROMPT], [1, 1, 1])
    expected = [alone(target, PROMPT), alone(target, [*PROMPT, 20]), alone(target, PROMPT)]
    torch.testing.assert_close(logits, torch.stack(expected), rtol=0, atol=1e-9)


def test_equal_prompts_with_other_rows_wanted_are_not_shared() -> None:
    counted = Counted(Target(family_model("llama")).session())
    session = SharedPrompts(counted)
    session.keep([-1, -1], [0, 0])
    assert session.forward([PROMPT, PROMPT], [1, 2]).shape[0] == 3
    assert counted.fed == 2 * len(PROMPT)


def test_lanes_that_share_nothing_are_passed_on_as_they_are() -> None:
    counted = Counted(Target(family_model("llama")).session())
    session = SharedPrompts(counted)
    session.keep([-1, -1], [0, 0])
    session.forward([PROMPT, [4, 4]], [1, 1])
    before = len(counted.kept)
    session.keep([0, 1], [10, 2])
    session.forward([[20], [30]], [1, 1])
    assert counted.kept[before:] == [[0, 1]]
