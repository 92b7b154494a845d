"""Any logits processor of transformers works as one of ours, or is refused with the reason."""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from types import ModuleType

import pytest
import torch
import transformers.generation.logits_process as theirs
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from decodeplug.bridges.stateful_processors import _PURE, _REFUSED
from decodeplug.bridges.transformers_processors import TransformersProcessors, from_logits_processors
from decodeplug.errors import BadOption, IncompatibleParts, PluginError
from decodeplug.processors import BadWords, Bias, MinTokens, NoRepeatNgram, RepetitionPenalty, Temperature, TopK, TopP
from decodeplug.values import Seen, Stage

RAGGED = Seen.of([[1, 2, 1], [3], [2, 2, 2], [], [0, 1, 0, 1]], [1, 0, 3, 0, 2])


def scores_of(rows: int = 5, vocab: int = 9) -> Tensor:
    scores = torch.randn(rows, vocab, generator=torch.Generator().manual_seed(3)) * 3
    scores[:, 4] = -math.inf
    return scores


def alone(processor: object, scores: Tensor, seen: Seen) -> Tensor:
    rows = zip(seen.ids, scores, strict=True)
    return torch.cat([processor(torch.tensor([ids], dtype=torch.long), row[None].clone()) for ids, row in rows])


@pytest.mark.parametrize(
    "processor",
    [
        RepetitionPenaltyLogitsProcessor(1.4),
        NoRepeatNGramLogitsProcessor(2),
        NoBadWordsLogitsProcessor([[1], [2, 3]]),
        SequenceBiasLogitsProcessor([[[1], 2.0], [[2, 2, 0], -3.0]]),
        MinLengthLogitsProcessor(3, [0, 8]),
        TopPLogitsWarper(0.7),
        MinPLogitsWarper(0.2),
        theirs.WatermarkLogitsProcessor(9, "cpu", context_width=1),
        LogitsProcessorList([RepetitionPenaltyLogitsProcessor(1.4), TemperatureLogitsWarper(0.5), TopKLogitsWarper(3)]),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_ragged_rows_come_out_as_each_would_alone(processor: object) -> None:
    seen = Seen.of([ids or [5] for ids in RAGGED.ids])
    scores = scores_of()
    before = scores.clone()
    assert torch.equal(TransformersProcessors(processor)(scores, seen), alone(processor, scores, seen))
    assert torch.equal(scores, before)


def test_a_processor_that_writes_into_its_scores_does_not_write_into_ours() -> None:
    def forbid_the_first(ids: Tensor, scores: Tensor) -> Tensor:
        scores[:, 0] = -math.inf
        return scores

    scores = scores_of()
    after = TransformersProcessors([forbid_the_first])(scores, RAGGED)
    assert after[:, 0].isneginf().all()
    assert scores[:, 0].isfinite().all()


def test_a_token_that_a_processor_revives_stays_forbidden() -> None:
    seen = Seen.of([[1]])
    after = TransformersProcessors(theirs.ForcedBOSTokenLogitsProcessor(4))(scores_of(1), seen)
    assert after[0].isneginf().all()
    assert TransformersProcessors(theirs.ForcedBOSTokenLogitsProcessor(5))(scores_of(1), seen)[0].argmax() == 5


def test_rows_that_have_seen_nothing_and_no_rows_at_all_are_taken() -> None:
    part = TransformersProcessors(TopKLogitsWarper(2))
    assert part(scores_of(2), Seen.nothing(2)).isfinite().sum() == 4
    assert part(scores_of(0), Seen.nothing(0)).shape == (0, 9)


def test_processors_see_the_padding_that_they_would_see_in_a_padded_batch() -> None:
    part = TransformersProcessors(RepetitionPenaltyLogitsProcessor(2.0), padding=[7, 7])
    scores = torch.ones(1, 9)
    assert part(scores, Seen.of([[3]]))[0].tolist() == [1, 1, 1, 0.5, 1, 1, 1, 0.5, 1]


def test_stage_is_that_of_callers_processors_in_generate_unless_said_otherwise() -> None:
    assert TransformersProcessors(TopKLogitsWarper(2)).stage == Stage.HARD
    assert TransformersProcessors(TopKLogitsWarper(2), Stage.TRUNCATE).stage == Stage.TRUNCATE
    assert not TransformersProcessors(TopKLogitsWarper(2)).keeps_argmax


def test_two_wrappings_of_the_same_objects_are_equal() -> None:
    one = TopKLogitsWarper(2)
    assert TransformersProcessors(one) == TransformersProcessors(LogitsProcessorList([one]))
    assert hash(TransformersProcessors(one)) == hash(TransformersProcessors([[one]]))
    assert TransformersProcessors(one) != TransformersProcessors(TopKLogitsWarper(2))


def every_class() -> list[str]:
    kinds = [kind for kind in vars(theirs).values() if isinstance(kind, type) and kind.__module__ == theirs.__name__]
    named = {kind.__name__ for kind in kinds if issubclass(kind, LogitsProcessor)}
    return sorted(named - {"LogitsProcessor"})


def test_every_class_of_transformers_is_judged() -> None:
    assert sorted([*_PURE, *_REFUSED]) == every_class()


@pytest.mark.parametrize("name", sorted(_REFUSED))
def test_a_class_known_to_keep_state_is_refused_with_a_way_out(name: str) -> None:
    kind = getattr(theirs, name)
    for made in (kind, type("Subclass", (kind,), {})):
        with pytest.raises(IncompatibleParts, match=name) as caught:
            TransformersProcessors([TopKLogitsWarper(2), made.__new__(made)])
        assert caught.value.because
        assert caught.value.instead


@pytest.mark.parametrize("library", ["xgrammar", "outlines", "lmformatenforcer"])
def test_matchers_of_other_libraries_are_refused_with_a_hint_at_constraints(library: str) -> None:
    kind = type("GrammarProcessor", (LogitsProcessor,), {"__module__": f"{library}.contrib.hf"})
    with pytest.raises(IncompatibleParts, match=rf"{library}'s GrammarProcessor .*Use a constraint of decodeplug"):
        TransformersProcessors(kind())


def test_a_penalty_for_the_rows_of_one_batch_is_refused() -> None:
    by_row = RepetitionPenaltyLogitsProcessor(1.2, prompt_ignore_length=torch.tensor([1, 2]))
    with pytest.raises(IncompatibleParts, match="repetition-penalty"):
        TransformersProcessors(by_row)


def test_a_processor_that_wants_more_than_ids_and_scores_is_refused_until_that_is_bound() -> None:
    def scaled(ids: Tensor, scores: Tensor, factor: float) -> Tensor:
        return scores * factor

    with pytest.raises(IncompatibleParts, match="wants factor"):
        TransformersProcessors(scaled)
    half = TransformersProcessors(partial(scaled, factor=0.5))
    assert torch.equal(half(torch.ones(5, 9), RAGGED), torch.full((5, 9), 0.5))


class Counting(LogitsProcessor):
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        return scores


class Remembering(LogitsProcessor):
    def __init__(self) -> None:
        self.inner = ModuleType("inner")
        self.inner.recent = deque([0], maxlen=3)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.inner.recent.append(self.inner.recent[-1] + 1)
        return scores


class Accumulating(LogitsProcessor):
    def __init__(self) -> None:
        self.sum = torch.zeros(9)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.sum += 1
        return scores


class Rolling(LogitsProcessor):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + torch.rand_like(scores)


def enclosing() -> object:
    calls = 0

    def processor(ids: Tensor, scores: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return scores

    return processor


@pytest.mark.parametrize("make", [Counting, Remembering, Accumulating, Rolling, enclosing])
@pytest.mark.parametrize("inference", [False, True])
def test_an_unknown_processor_that_keeps_state_is_caught_in_its_first_call(make: type, inference: bool) -> None:
    with torch.inference_mode(inference):
        part = TransformersProcessors(make())
        with pytest.raises(PluginError, match=r"its attributes changed|gave different scores") as caught:
            part(torch.randn(5, 9), RAGGED)
    assert make.__name__ in caught.value.part
    assert caught.value.call == "__call__"


class Preparing(LogitsProcessor):
    """Pure, though it makes its mask in the first call."""

    def __init__(self) -> None:
        self.mask: Tensor | None = None
        self.calls = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.arange(scores.shape[-1]) > 5
        return scores.masked_fill(self.mask, -math.inf)


def test_preparing_something_in_the_first_call_is_allowed() -> None:
    part = TransformersProcessors([Preparing(), TopKLogitsWarper(2)])
    for _ in range(2):
        assert part(scores_of(), RAGGED)[:, 6:].isneginf().all()


def test_an_unknown_processor_is_watched_once_and_a_known_one_never() -> None:
    calls = []

    def counted(ids: Tensor, scores: Tensor) -> Tensor:
        calls.append(None) if recording else None
        return scores

    recording = False
    part = TransformersProcessors(counted)
    part(scores_of(1), Seen.of([[1]]))
    recording = True
    part(scores_of(1), Seen.of([[1]]))
    assert len(calls) == 1


@pytest.mark.parametrize("answer", [None, torch.zeros(5, 3), 7])
def test_a_processor_that_returns_no_score_table_is_named(answer: object) -> None:
    with pytest.raises(PluginError, match=r"logits processor .*<lambda> .* wanted"):
        TransformersProcessors(lambda ids, scores: answer)(scores_of(1), Seen.of([[1]]))


def test_a_failure_inside_a_processor_is_its_cause() -> None:
    def failing(ids: Tensor, scores: Tensor) -> Tensor:
        raise ZeroDivisionError("by design")

    with pytest.raises(PluginError, match="ZeroDivisionError: by design") as caught:
        TransformersProcessors(failing)(scores_of(1), Seen.of([[1]]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("nothing", [[], LogitsProcessorList(), [3], "top-k"])
def test_what_is_no_processor_is_refused(nothing: object) -> None:
    with pytest.raises(BadOption):
        TransformersProcessors(nothing)


def test_a_list_from_generate_becomes_our_own_processors_where_they_exist() -> None:
    own = Preparing()
    given = LogitsProcessorList([
        SequenceBiasLogitsProcessor([[[1], 2.0], [[2, 3], -math.inf]]),
        RepetitionPenaltyLogitsProcessor(1.2, prompt_ignore_length=torch.tensor([0, 2])),
        NoRepeatNGramLogitsProcessor(3),
        MinLengthLogitsProcessor(9, [0]),
        own,
        TemperatureLogitsWarper(0.5),
        TopKLogitsWarper(20),
        TopPLogitsWarper(0.8, min_tokens_to_keep=2),
    ])  # fmt: skip
    parts = from_logits_processors(given, row=1, padding=[7, 7])
    assert parts == [
        Bias({1: 2.0}),
        BadWords([[2, 3]]),
        RepetitionPenalty(1.2),
        NoRepeatNgram(3),
        MinTokens(7, [0], counts_prompt=True),
        TransformersProcessors(own, padding=[7, 7]),
        Temperature(0.5),
        TopK(20),
        TopP(0.8, 2),
    ]


def test_a_list_in_an_order_of_its_own_is_wrapped_whole() -> None:
    given = [TopPLogitsWarper(0.8), TemperatureLogitsWarper(0.5)]
    assert from_logits_processors(given) == [TransformersProcessors(given)]


def test_what_lowers_tokens_without_forbidding_them_is_wrapped() -> None:
    soft = TopKLogitsWarper(2, filter_value=-10.0)
    assert from_logits_processors([soft]) == [TransformersProcessors(soft)]
