"""Truncating processors cut exactly where transformers' own do, and equal scores are told apart in one way."""

from __future__ import annotations

import math

import pytest
import torch
from drawing import score_rows, tried
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    MinPLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from decodeplug.processors import Epsilon, Eta, MinP, TopH, TopK, TopP, Typical
from decodeplug.processors.keep import at_least, exactly, largest, only
from decodeplug.processors.top_p import nucleus_by_sorting
from decodeplug.processors.typical import limits_by_growing, limits_by_sorting
from decodeplug.values import Seen

NONE = torch.zeros(1, 0, dtype=torch.long)
CLOSE = 1e-5
shares = st.one_of(st.floats(0.01, 0.99), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]))
keeps = st.integers(1, 5)


def nothing(scores: Tensor) -> Seen:
    return Seen.nothing(len(scores))


def sizes(scores: Tensor) -> Tensor:
    return scores.isfinite().sum(-1)


@tried
@given(score_rows(), st.integers(1, 400), keeps)
def test_top_k_is_transformers_top_k(scores: Tensor, top_k: int, least: int) -> None:
    theirs = TopKLogitsWarper(top_k, min_tokens_to_keep=least)(NONE, scores)
    assert torch.equal(TopK(top_k, least)(scores, nothing(scores)), theirs)


@tried
@given(score_rows(), shares, keeps)
def test_top_p_keeps_as_many_and_as_good_tokens_as_transformers(scores: Tensor, top_p: float, least: int) -> None:
    ours = TopP(top_p, least)(scores, nothing(scores))
    theirs = TopPLogitsWarper(top_p, min_tokens_to_keep=least)(NONE, scores)
    above = scores.double().softmax(-1).sort(-1, descending=True).values.cumsum(-1).roll(1, -1)
    above[:, 0] = 0
    # Where the mass meets top_p within the rounding of a float32 sum, one token more or less is as right.
    low, high = ((above < top_p + margin).sum(-1).clamp(min=least) for margin in (-CLOSE, CLOSE))
    high = torch.minimum(high, scores.isfinite().sum(-1))
    low = torch.minimum(low, high)
    assert ((low <= sizes(ours)) & (sizes(ours) <= high)).all()
    for our_row, their_row in zip(ours[low == high], theirs[low == high], strict=True):
        assert our_row.sort().values.equal(their_row.sort().values)


@tried
@given(score_rows(), shares)
def test_top_p_keeps_the_lowest_ids_among_equal_scores(scores: Tensor, top_p: float) -> None:
    kept = TopP(top_p)(scores, nothing(scores)).isfinite()
    order = scores.sort(stable=True, dim=-1, descending=True).indices
    for row, ids in zip(kept, order, strict=True):
        assert set(row.nonzero().flatten().tolist()) == set(ids[: int(row.sum())].tolist())


def test_top_p_of_a_flat_row_is_its_first_tokens() -> None:
    kept = TopP(0.3)(torch.zeros(1, 64), Seen.nothing(1)).isfinite()[0]
    assert kept.nonzero().flatten().tolist() == list(range(20))


@tried
@given(score_rows(), shares, keeps)
def test_top_p_cuts_alike_with_and_without_a_full_sort(scores: Tensor, top_p: float, least: int) -> None:
    wide = scores.double()  # so that neither sum rounds
    least = min(least, scores.shape[-1])
    sorted_cut = exactly(wide, *nucleus_by_sorting(wide, top_p, least))
    above = wide.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    clear = ((above - top_p).abs() > 1e-12).all(-1)
    assert torch.equal(TopP(top_p, least)(wide, nothing(wide))[clear], sorted_cut[clear])


@pytest.mark.parametrize("scale", [0.0, 0.01, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("vocab", [1000, 49_152])
def test_top_p_is_transformers_top_p_over_a_large_vocabulary(scale: float, vocab: int) -> None:
    noise = torch.Generator().manual_seed(vocab)
    scores = torch.randn(3, vocab, generator=noise) * scale
    ours, theirs = TopP(0.9)(scores, nothing(scores)), TopPLogitsWarper(0.9)(NONE, scores)
    # transformers adds up the vocabulary in float32: near the mass it is off by a few tokens of a flat row.
    assert (sizes(ours) - sizes(theirs)).abs().max() <= (0 if scale >= 1 else max(1, vocab * CLOSE * 10))
    masses = (scores.double().softmax(-1) * ours.isfinite()).sum(-1)
    smallest = scores.double().softmax(-1).masked_fill(ours.isinf(), 1.0).amin(-1)
    assert (masses >= 0.9 - 1e-6).all()
    assert (masses - smallest < 0.9 + 1e-6).all()


@pytest.mark.parametrize("spread", [1e-3, 1e-37, 1e-44])
def test_top_p_of_scores_that_hardly_differ_is_a_share_of_the_vocabulary(spread: float) -> None:
    scores = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)) * spread
    assert int(TopP(0.9)(scores, nothing(scores)).isfinite().sum()) == pytest.approx(3600, abs=3)


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_top_p_of_a_large_vocabulary_keeps_the_lowest_ids_among_equal_scores(steps: int, top_p: float) -> None:
    noise = torch.Generator().manual_seed(steps)
    scores = (torch.randn(2, 20_000, generator=noise, dtype=torch.float64) * steps).round() / steps
    scores[:, ::7] = -math.inf
    assert torch.equal(TopP(top_p)(scores, nothing(scores)), exactly(scores, *nucleus_by_sorting(scores, top_p, 1)))


@tried
@given(score_rows(), shares)
def test_min_p_is_transformers_min_p(scores: Tensor, min_p: float) -> None:
    ours = MinP(min_p)(scores, nothing(scores))
    theirs = MinPLogitsWarper(min_p)(NONE, scores)
    differing = ours.isfinite() != theirs.isfinite()
    gaps = scores.double() - scores.double().amax(-1, keepdim=True) - math.log(min_p)
    assert (gaps[differing].abs() < CLOSE).all()


@tried
@given(score_rows(ties=False), shares, keeps)
def test_min_p_keeps_at_least_so_many(scores: Tensor, min_p: float, least: int) -> None:
    kept = MinP(min_p, least)(scores, nothing(scores))
    wanted = torch.minimum(torch.tensor(least), sizes(scores))
    assert torch.equal(sizes(kept), torch.maximum(sizes(MinP(min_p)(scores, nothing(scores))), wanted))


@tried
@given(score_rows(), st.floats(1e-6, 0.9), keeps)
def test_epsilon_is_transformers_epsilon(scores: Tensor, cutoff: float, least: int) -> None:
    theirs = EpsilonLogitsWarper(cutoff, min_tokens_to_keep=least)(NONE, scores)
    differing = Epsilon(cutoff, least)(scores, nothing(scores)).isfinite() != theirs.isfinite()
    assert ((scores.double().softmax(-1) - cutoff)[differing].abs() < CLOSE * cutoff).all()


@tried
@given(score_rows(), st.floats(1e-6, 0.9), keeps)
def test_eta_is_transformers_eta(scores: Tensor, cutoff: float, least: int) -> None:
    theirs = EtaLogitsWarper(cutoff, min_tokens_to_keep=least)(NONE, scores)
    differing = Eta(cutoff, least)(scores, nothing(scores)).isfinite() != theirs.isfinite()
    logs = scores.double().log_softmax(-1)
    entropy = -(logs.exp() * logs).nansum(-1, keepdim=True)
    eta = torch.minimum(torch.tensor(cutoff), math.sqrt(cutoff) * torch.exp(-entropy))
    assert ((logs - eta.log())[differing].abs() < 10 * CLOSE).all()


@tried
@given(score_rows(), st.floats(0.01, 1.0))
def test_top_h_keeps_as_many_tokens_as_transformers(scores: Tensor, top_h: float) -> None:
    ours, theirs = TopH(top_h)(scores, nothing(scores)), TopHLogitsWarper(top_h)(NONE, scores)
    logs = scores.double().sort(-1, descending=True).values[:, :100].log_softmax(-1)
    terms = -(logs.exp() * logs).nan_to_num(nan=0.0)
    limit = terms.sum(-1, keepdim=True) * top_h
    low, high = ((terms.cumsum(-1) <= limit + margin).sum(-1).clamp(min=1) for margin in (-CLOSE, CLOSE))
    for row in range(len(scores)):
        if low[row] == high[row]:
            assert ours[row].sort().values.equal(theirs[row].sort().values)
        else:
            assert min(low[row], sizes(scores)[row]) <= sizes(ours)[row] <= high[row]


@tried
@given(score_rows(), shares)
def test_typical_is_transformers_typical(scores: Tensor, mass: float) -> None:
    ours, theirs = Typical(mass)(scores, nothing(scores)), TypicalLogitsWarper(mass)(NONE, scores)
    logs = scores.double().log_softmax(-1)
    distances = (logs - (logs.exp() * logs).nansum(-1, keepdim=True)).abs()
    low, high = (limits_by_sorting(distances, logs.exp(), mass + margin, 1) for margin in (-CLOSE, CLOSE))
    open_to_rounding = (distances >= low - 10 * CLOSE) & (distances <= high + 10 * CLOSE)
    assert open_to_rounding[ours.isfinite() != theirs.isfinite()].all()


@tried
@given(score_rows(), shares, keeps)
def test_typical_finds_the_same_limit_by_growing_and_by_sorting(scores: Tensor, mass: float, least: int) -> None:
    logs = scores.cpu().double().log_softmax(-1)
    distances = (logs - (logs.exp() * logs).nansum(-1, keepdim=True)).abs()
    low, high = (limits_by_sorting(distances, logs.exp(), mass + margin, least) for margin in (-1e-9, 1e-9))
    grown = limits_by_growing(distances, logs.exp(), mass, least)
    assert ((low <= grown) & (grown <= high)).all()


@tried
@given(st.integers(0, 2**32), st.sampled_from([0.02, 1.0, 3.0]))
def test_typical_sorts_as_much_as_the_mass_needs(seed: int, scale: float) -> None:
    scores = torch.randn(1, 20_000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    logs = scores.log_softmax(-1)
    distances = (logs - (logs.exp() * logs).nansum(-1, keepdim=True)).abs()
    assert torch.equal(
        limits_by_growing(distances, logs.exp(), 0.9, 1), limits_by_sorting(distances, logs.exp(), 0.9, 1)
    )


@tried
@given(score_rows(), st.integers(1, 400))
def test_cutting_gives_the_same_tokens_with_and_without_numpy(scores: Tensor, count: int) -> None:
    half = scores.bfloat16()  # numpy has no such numbers, so this takes the road of the other devices
    full = half.float()
    best = largest(full, count)
    assert torch.equal(best, largest(half, count).float())
    floor, size = best[:, -1:], torch.full((len(scores), 1), best.shape[-1], device=scores.device)
    assert torch.equal(at_least(full, floor), at_least(half, floor.bfloat16()).float())
    assert torch.equal(exactly(full, floor, size), exactly(half, floor.bfloat16(), size).float())
    assert torch.equal(only(full, full > 0), only(half, half > 0).float())


@pytest.mark.parametrize("identity", [TopP(1.0), TopP(0.5, 6), TopK(6), TopK(1000), MinP(0.0), Typical(1.0)], ids=str)
def test_options_that_keep_everything_give_the_scores_back(identity: TopP) -> None:
    scores = torch.randn(2, 6)
    assert identity(scores, Seen.nothing(2)) is scores


@pytest.mark.parametrize("make", [TopP, MinP, Typical, Epsilon, Eta, TopH])
@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan, math.inf, "0.5", True, None])
def test_a_share_outside_its_range_is_refused(make: type[TopP], share: object) -> None:
    with pytest.raises(ValueError, match=rf"^{make.name}: \w+=.*, but wanted a number in [\[(]0, 1[\])]$"):
        make(share)


@pytest.mark.parametrize("make", [Typical, Epsilon, Eta, TopH])
def test_a_share_of_zero_is_refused_where_it_would_keep_nothing(make: type[Typical]) -> None:
    with pytest.raises(ValueError, match=r"wanted a number in \(0, 1"):
        make(0.0)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_count_that_is_none_is_refused(count: object) -> None:
    with pytest.raises(ValueError, match=r"top-k: top_k=.* wanted a whole number of at least 1"):
        TopK(count)
    for make in (TopK, TopP, MinP, Typical, Epsilon, Eta):
        with pytest.raises(ValueError, match=r"min_tokens_to_keep=.* wanted a whole number of at least 1"):
            make(min_tokens_to_keep=count)
