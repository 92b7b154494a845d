"""The laws of a selector: it chooses from the right rows, and a draft changes nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.contracts import Rows
from decodeplug.testing.claim import claim, declared_name
from decodeplug.testing.device import chosen_device
from decodeplug.testing.laws_joint import check_joint
from decodeplug.values import Draft, Extension, LaneView

__all__ = ["check_selector"]


def check_selector(
    selector: Any, *, exact: bool | None = None, vocab: int = 24, rounds: int = 20, seed: int = 0
) -> None:
    """Check that a selector keeps its contract (``decodeplug.contracts.Selector``).

    :param exact: Does it promise that a draft changes nothing? By default, if it takes drafts. A
        selector that keeps the distribution instead of the ids says False. Of a joint one it is always expected.
    :param vocab: Width of the score tables.
    :param rounds: How many batches of lanes to try.
    :param seed: Another seed, other lanes, drafts and scores.
    :raises AssertionError: A law is broken; the message says which, and in which lane.
    """
    name = declared_name(selector)
    takes_drafts = getattr(selector, "takes_drafts", None)
    claim(isinstance(takes_drafts, bool), f"selector {name} does not declare takes_drafts, True or False")
    exact = bool(takes_drafts) if exact is None else exact
    _check_what_cannot_be_chosen(selector, name, vocab)
    chance = random.Random(seed)
    if getattr(selector, "joint", False):
        for _ in range(rounds):
            check_joint(selector, name, lambda prefix: _scores_after(prefix, vocab), vocab, chance)
        return
    for _ in range(rounds):
        lanes = [_lane(index, vocab, chance) for index in range(chance.randint(1, 4))]
        undrafted = [Draft() for _ in lanes]
        choices = _checked_choice(selector, name, lanes, undrafted, vocab)
        if not takes_drafts:
            continue
        drafts = [_draft(vocab, chance) for _ in lanes]
        _checked_choice(selector, name, lanes, drafts, vocab)
        if exact:
            _check_alone(selector, name, lanes, choices, vocab)
            for lane in lanes:
                _check_draft_changes_nothing(selector, name, lane, vocab, chance)


def _check_what_cannot_be_chosen(selector: Any, name: str, vocab: int) -> None:
    for broken in (-math.inf, math.nan):
        scores = torch.full((1, vocab), broken, device=chosen_device())
        _, values, _ = _proposed(selector, scores, Rows([LaneView([1], 1)], [Draft()]))
        claim(
            not values[:, :1].isfinite().any(),
            f"selector {name} hides that nothing can be chosen from a row of {broken}: its first value is finite",
        )


def _lane(index: int, vocab: int, chance: random.Random) -> LaneView:
    ids = [chance.randrange(vocab) for _ in range(chance.randint(1, 9))]
    return LaneView(ids, chance.randint(1, len(ids)), seed=(chance.randrange(1000), index))


def _draft(vocab: int, chance: random.Random) -> Draft:
    tokens = tuple(chance.randrange(vocab) for _ in range(chance.randint(0, 5)))
    # Drawn from a distribution that is nearly sure of them, for selectors that ask for it.
    likely = torch.full((len(tokens), vocab), 0.1 / vocab)
    for row, token in enumerate(tokens):
        likely[row, token] += 0.9
    return Draft(tokens, ("check",) * len(tokens), tuple(likely.to(chosen_device())))


def _scores_after(prefix: Sequence[int], vocab: int) -> Tensor:
    """``[vocab]`` float32: scores that depend on the whole prefix and on nothing else; some are ``-inf``."""
    random = torch.Generator().manual_seed(hash(tuple(prefix)) & 0x7FFFFFFF)
    scores = torch.randn(vocab, generator=random) * 2
    banned = torch.rand(vocab, generator=random) < 0.4
    banned[torch.randint(vocab, (1,), generator=random)] = False
    return scores.masked_fill(banned, -math.inf).to(chosen_device())


def _table(lanes: Sequence[LaneView], drafts: Sequence[Draft], vocab: int) -> Tensor:
    """``[rows, vocab]``: the score table that the loop would give."""
    return torch.stack(
        [
            _scores_after([*lane.ids, *draft.tokens[:offset]], vocab)
            for lane, draft in zip(lanes, drafts, strict=True)
            for offset in range(len(draft) + 1)
        ]
    )


def _checked_choice(
    selector: Any, name: str, lanes: Sequence[LaneView], drafts: Sequence[Draft], vocab: int
) -> list[Extension]:
    """Select once, and check what holds of every single choice."""
    scores = _table(lanes, drafts, vocab)
    rows, given = Rows(lanes, drafts), scores.clone()
    candidates, values, margins = _proposed(selector, scores, rows)
    claim(torch.equal(scores, given), f"selector {name} modified the scores")
    claim(
        candidates.dtype == torch.int64 and candidates.dim() == 2 and len(candidates) == len(scores),
        f"selector {name} proposes {candidates.dtype} {list(candidates.shape)} for {len(scores)} rows, "
        "not torch.int64 [rows, candidates]",
    )
    claim(
        values.shape == candidates.shape,
        f"selector {name} gives values {list(values.shape)} for candidates {list(candidates.shape)}",
    )
    claim(
        margins.shape == scores.shape[:1] and bool((margins >= 0).all()),
        f"selector {name} gives margins {list(margins.shape)} for {len(scores)} rows, or some below 0",
    )
    claim(
        all(map(torch.equal, (candidates, values, margins), _proposed(selector, scores, rows))),
        f"selector {name} is not pure: it proposes something else the second time",
    )
    plain, numbers = candidates.tolist(), values.tolist()
    extensions = selector.extend(plain, numbers, rows)
    claim(plain == candidates.tolist() and numbers == values.tolist(), f"selector {name} modified the candidates")
    for extension in extensions:
        _check_extension(name, extension, rows, scores, plain)
    again = selector.extend(plain, numbers, rows)
    claim(again == extensions, f"selector {name} is not pure: it extends otherwise the second time")
    return extensions


def _proposed(selector: Any, scores: Tensor, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
    candidates, values, margins = selector.propose(scores, rows)
    return torch.as_tensor(candidates), torch.as_tensor(values), torch.as_tensor(margins)


def _check_extension(
    name: str, extension: Extension, rows: Rows, scores: Tensor, candidates: Sequence[Sequence[int]]
) -> None:
    parent = extension.parent
    claim(0 <= parent < len(rows.lanes), f"selector {name} extends lane {parent} of {len(rows.lanes)}")
    who = f"selector {name}, lane {parent}"
    drafted, first = rows.drafts[parent].tokens, rows.first[parent]
    claim(
        0 < len(extension.tokens) <= len(drafted) + 1,
        f"{who}: {len(extension.tokens)} tokens from a draft of {len(drafted)}",
    )
    claim(
        list(extension.rows) == list(range(first, first + len(extension.tokens))),
        f"{who}: its tokens are said to come from rows {list(extension.rows)}, but its rows begin at {first}",
    )
    claim(
        extension.tokens[:-1] == drafted[: len(extension.tokens) - 1],
        f"{who}: {extension.tokens} goes on after a token that was not drafted (drafted: {drafted})",
    )
    for row, token in zip(extension.rows, extension.tokens, strict=True):
        claim(bool(scores[row, token] > -math.inf), f"{who}: token {token} is chosen, which is forbidden in row {row}")


def _check_alone(selector: Any, name: str, lanes: Sequence[LaneView], choices: Sequence[Extension], vocab: int) -> None:
    for index, lane in enumerate(lanes):
        together = [extension.tokens for extension in choices if extension.parent == index]
        alone = [extension.tokens for extension in _checked_choice(selector, name, [lane], [Draft()], vocab)]
        claim(alone == together, f"selector {name}, lane {index}: {alone} alone, but {together} among others")


def _check_draft_changes_nothing(selector: Any, name: str, lane: LaneView, vocab: int, chance: random.Random) -> None:
    """Continue a lane without drafts; with any draft the same tokens must come, and all that agree be kept."""
    text: list[int] = []
    for _ in range(6):
        longer = LaneView([*lane.ids, *text], lane.prompt_length, seed=lane.seed)
        (choice,) = _checked_choice(selector, name, [longer], [Draft()], vocab)
        text.append(choice.tokens[0])
    for right in range(6):
        wrong = tuple(chance.randrange(vocab) for _ in range(chance.randint(0, 5 - right)))
        tokens = (*text[:right], *wrong)
        (choice,) = _checked_choice(selector, name, [lane], [Draft(tokens, ("check",) * len(tokens))], vocab)
        agreed = next((at for at, token in enumerate(tokens) if token != text[at]), len(tokens))
        claim(
            list(choice.tokens) == text[: agreed + 1],
            f"selector {name}: the draft {tokens} changes the text from {text[: agreed + 1]} to {list(choice.tokens)}",
        )
