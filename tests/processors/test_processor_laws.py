"""What holds for every built-in processor."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from drawing import rows_and_seen, tried_a_little
from hypothesis import given
from torch import Tensor

from decodeplug.contracts import Processor
from decodeplug.processors import (
    BadWords,
    Bias,
    Epsilon,
    Eta,
    ForcedPrefix,
    FrequencyPenalty,
    MinP,
    MinTokens,
    NoRepeatNgram,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopH,
    TopK,
    TopP,
    Typical,
)
from decodeplug.testing.device import chosen_device
from decodeplug.values import Seen, Stage

PARTS = [
    Temperature(0.7),
    Temperature(0),
    Temperature(1e-30),
    Temperature(1e300),
    TopK(2),
    TopK(1, min_tokens_to_keep=3),
    TopP(0.6),
    TopP(0.0),
    TopP(0.5, min_tokens_to_keep=3),
    MinP(0.3),
    MinP(1.0, min_tokens_to_keep=2),
    Typical(0.5),
    Typical(0.2, min_tokens_to_keep=3),
    Epsilon(0.2),
    Eta(0.2),
    TopH(0.4),
    RepetitionPenalty(1.3),
    RepetitionPenalty(0.8, over="generated"),
    RepetitionPenalty(1.2, over="prompt"),
    PresencePenalty(0.6),
    FrequencyPenalty(-0.4),
    NoRepeatNgram(1),
    NoRepeatNgram(2),
    NoRepeatNgram(3, over="prompt"),
    Bias({1: 2.0, (0, 1): -3.0, (1, 0, 1): 0.5}),
    BadWords([[0], [1, 1], [0, 1, 0]]),
    MinTokens(4, [1, 700]),
    ForcedPrefix([1, 0]),
]
each_part = pytest.mark.parametrize("part", PARTS, ids=str)
TRUNCATING = [part for part in PARTS if part.stage in (Stage.TEMPERATURE, Stage.TRUNCATE)]


@each_part
@tried_a_little
@given(rows_and_seen())
def test_the_scores_given_are_not_modified(part: Processor, given_rows: tuple[Tensor, Seen]) -> None:
    scores, seen = given_rows
    before, ids = scores.clone(), [list(row) for row in seen.ids]
    after = part(scores, seen)
    assert torch.equal(scores, before)
    assert seen.ids == ids
    assert after.shape == scores.shape
    assert after.dtype == scores.dtype


@each_part
@tried_a_little
@given(rows_and_seen())
def test_no_forbidden_token_is_revived_and_nothing_breaks(part: Processor, given_rows: tuple[Tensor, Seen]) -> None:
    scores, seen = given_rows
    after = part(scores, seen)
    assert not after.isnan().any()
    assert not after.isposinf().any()
    assert after[scores.isneginf()].isneginf().all()


@each_part
@tried_a_little
@given(rows_and_seen())
def test_each_row_comes_out_as_if_it_were_alone(part: Processor, given_rows: tuple[Tensor, Seen]) -> None:
    scores, seen = given_rows
    alone = [part(scores[row : row + 1], seen[row : row + 1]) for row in range(len(scores))]
    assert torch.equal(part(scores, seen), torch.cat(alone))


@each_part
@tried_a_little
@given(rows_and_seen())
def test_a_part_that_says_it_keeps_the_argmax_keeps_it(part: Processor, given_rows: tuple[Tensor, Seen]) -> None:
    scores, seen = given_rows
    if part.keeps_argmax:
        assert torch.equal(part(scores, seen).argmax(-1), scores.argmax(-1))


@pytest.mark.parametrize("part", TRUNCATING, ids=str)
@tried_a_little
@given(rows_and_seen())
def test_truncation_never_empties_a_row(part: Processor, given_rows: tuple[Tensor, Seen]) -> None:
    scores, seen = given_rows
    assert part(scores, seen).isfinite().any(-1).all()


@each_part
def test_a_row_without_any_token_stays_so(part: Processor) -> None:
    scores = torch.tensor([[-math.inf] * 6, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]], device=chosen_device())
    assert part(scores, Seen.of([[0, 1], [0, 1]], [1, 1]))[0].isneginf().all()


@each_part
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_widths_of_number_are_taken_and_given_back(part: Processor, dtype: torch.dtype) -> None:
    scores = torch.tensor([[0.5, 2.0, -1.0, 0.0]], dtype=dtype, device=chosen_device())
    after = part(scores, Seen.of([[0, 1, 0]], [1]))
    assert after.dtype == dtype
    assert not after.isnan().any()


@each_part
def test_scores_that_need_gradients_or_are_strided_are_taken(part: Processor) -> None:
    seen = Seen.of([[0, 1, 0], [1]], [1, 0])
    plain = torch.randn(2, 6, generator=torch.Generator().manual_seed(1)).to(chosen_device())
    strided = torch.stack([plain, plain], dim=-1)[..., 0].requires_grad_()
    assert torch.equal(part(strided, seen).detach(), part(plain, seen))


@each_part
def test_equal_options_make_equal_parts_that_can_be_sent_elsewhere(part: Processor) -> None:
    copy = pickle.loads(pickle.dumps(part))
    assert copy == part
    assert hash(copy) == hash(part)
    scores, seen = torch.arange(6.0)[None], Seen.of([[0, 1, 0]], [1])
    assert torch.equal(copy(scores, seen), part(scores, seen))


@each_part
def test_every_part_declares_itself(part: Processor) -> None:
    assert isinstance(part, Processor)
    assert isinstance(part.stage, Stage)
    assert isinstance(part.name, str)
