"""The rejection rule alone: whatever a token was drawn from, what is kept in the end follows the target's law."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch

from decodeplug.noise import perturb
from decodeplug.plugin import Rows
from decodeplug.selectors import Reject
from decodeplug.testing import assert_follows, check_selector
from decodeplug.testing.device import chosen_device
from decodeplug.values import Draft, LaneView

LOGITS = torch.tensor([2.0, 1.5, 0.3, -1.0, -torch.inf, 0.8])  # the target forbids one id
DRAFTERS = {
    "one that is nearly right": torch.tensor([1.9, 1.7, 0.1, -0.8, -torch.inf, 0.9]),
    "one that is far off": torch.tensor([-2.0, 0.0, 2.0, 1.0, -1.0, -3.0]),
    "one that likes what is forbidden": torch.tensor([0.0, 0.0, 0.0, 0.0, 4.0, 0.0]),
    "one that never says what is likeliest": torch.tensor([-torch.inf, 1.0, 1.0, 1.0, 0.0, 1.0]),
}
RUNS = 4000


def kept_first(drafts: list[Draft], seeds: range) -> Counter[int]:
    """The first token of each text, and how often it came."""
    lanes = [LaneView([1, 2], 2, seed=(seed, 0)) for seed in seeds]
    rows = Rows(lanes, drafts)
    scores = LOGITS.to(chosen_device()).expand(rows.count, -1)
    candidates = torch.as_tensor(Reject().propose(scores, rows).candidates).tolist()
    return Counter(extension.tokens[0] for extension in Reject().extend(candidates, [], rows))


def test_it_keeps_the_contract_of_a_selector() -> None:
    check_selector(Reject(), exact=False)


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_the_first_token_follows_the_targets_law(drafter: str) -> None:
    logits = DRAFTERS[drafter].to(chosen_device())
    law = torch.softmax(logits, -1)
    drafted = perturb(logits.expand(RUNS, -1), [(seed, 0, 2) for seed in range(RUNS)]).argmax(-1).tolist()
    drafts = [Draft((token, 0), ("d", "d"), (law, law)) for token in drafted]
    counts = kept_first(drafts, range(RUNS))
    cells = [token for token in range(len(LOGITS)) if token != 4]
    assert set(counts) <= set(cells)
    assert_follows([counts[token] for token in cells], torch.softmax(LOGITS, -1)[cells].tolist())


@pytest.mark.parametrize("token", [0, 3, 4])
def test_a_token_that_was_only_proposed_is_judged_as_if_it_had_been_sure(token: int) -> None:
    counts = kept_first([Draft((token,), ("lookup",))] * RUNS, range(RUNS))
    cells = [token for token in range(len(LOGITS)) if token != 4]
    assert_follows([counts[token] for token in cells], torch.softmax(LOGITS, -1)[cells].tolist())


def test_without_a_draft_it_draws_from_the_target() -> None:
    counts = kept_first([Draft()] * RUNS, range(RUNS))
    cells = [token for token in range(len(LOGITS)) if token != 4]
    assert_follows([counts[token] for token in cells], torch.softmax(LOGITS, -1)[cells].tolist())


def test_a_draft_from_the_targets_own_law_is_kept_whole_and_one_token_follows() -> None:
    law = torch.softmax(LOGITS, -1).to(chosen_device())
    rows = Rows(
        [LaneView([1], 1, seed=(seed, 0)) for seed in range(50)], [Draft((0, 1, 5), ("d",) * 3, (law,) * 3)] * 50
    )
    candidates = torch.as_tensor(Reject().propose(LOGITS.to(law.device).expand(rows.count, -1), rows).candidates)
    assert {extension.tokens[:3] for extension in Reject().extend(candidates.tolist(), [], rows)} == {(0, 1, 5)}


def test_acceptance_is_the_overlap_of_the_two_laws() -> None:
    """Leviathan et al., corollary 3.6: the chance that a drafted token is kept is the sum of the smaller probabilities."""
    logits = DRAFTERS["one that is nearly right"]
    law, target = torch.softmax(logits, -1), torch.softmax(LOGITS, -1)
    drafted = perturb(logits.expand(RUNS, -1), [(seed, 0, 2) for seed in range(RUNS)]).argmax(-1).tolist()
    lanes = [LaneView([1, 2], 2, seed=(seed, 0)) for seed in range(RUNS)]
    rows = Rows(lanes, [Draft((token,), ("d",), (law,)) for token in drafted])
    candidates = torch.as_tensor(Reject().propose(LOGITS.expand(rows.count, -1), rows).candidates).tolist()
    kept = sum(len(extension.tokens) == 2 for extension in Reject().extend(candidates, [], rows))
    overlap = float(torch.minimum(law, target).sum())
    assert_follows([kept, RUNS - kept], [overlap, 1 - overlap])


@pytest.mark.parametrize("cut", [False, True])
def test_a_drawn_token_that_is_forbidden_must_be_judged_and_not_be_cut_off(cut: bool) -> None:
    """The trap: to leave a forbidden drawn token out before the rule draws it again from the whole law, and is biased."""
    logits = DRAFTERS["one that likes what is forbidden"]
    law = torch.softmax(logits, -1)
    drafted = perturb(logits.expand(RUNS, -1), [(seed, 0, 2) for seed in range(RUNS)]).argmax(-1).tolist()
    drafts = [Draft() if cut and token == 4 else Draft((token,), ("d",), (law,)) for token in drafted]
    counts = kept_first(drafts, range(RUNS))
    cells = [token for token, _ in itertools.groupby(sorted(counts))]
    expected = torch.softmax(LOGITS, -1)[cells]
    if cut:
        with pytest.raises(AssertionError):
            assert_follows([counts[token] for token in cells], (expected / expected.sum()).tolist())
    else:
        assert_follows([counts[token] for token in cells], (expected / expected.sum()).tolist())
