"""The laws of a processor: a pure function of scores and prefix that revives nothing."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.testing.claim import claim
from decodeplug.testing.device import chosen_device
from decodeplug.values import Seen, Stage

__all__ = ["check_processor"]


def check_processor(
    processor: Any,
    *,
    vocab: int = 64,
    end_ids: Sequence[int] = (),
    rows: int = 12,
    seed: int = 0,
) -> None:
    """Check that a processor keeps its contract (``decodeplug.contracts.Processor``).

    It is called a few dozen times on random ``[rows, vocab]`` scores: with ties, with most
    tokens forbidden, with a single token left, with huge and tiny values, and, where
    ``end_ids`` are given, with nothing but end tokens left.

    :param processor: The part, ready to be called.
    :param end_ids: Ids that end a text, for processors that know them.
    :param seed: Another seed, other scores.
    :raises AssertionError: A law is broken; the message says which, and in which row.
    """
    name = type(processor).__name__
    _check_declaration(processor, name)
    random = torch.Generator().manual_seed(seed)
    tables = [_scores(rows, vocab, end_ids, random) for _ in range(3)]
    prefixes = [_prefixes(rows, vocab, random) for _ in tables]
    first = [_checked_call(processor, name, *given) for given in zip(tables, prefixes, strict=True)]
    # In another order, so that a processor which remembers a call is found out.
    for index in (2, 0, 1):
        again = _checked_call(processor, name, tables[index], prefixes[index])
        claim(
            torch.equal(again, first[index]),
            f"{name} is not pure: the same scores and prefixes gave other scores when it had been called in between",
        )
    for scores, seen, out in zip(tables, prefixes, first, strict=True):
        _check_rows_alone(processor, name, scores, seen, out)
        _check_row_order(processor, name, scores, seen, out, random)
        _check_promises(processor, name, scores, out)


def _check_declaration(processor: Any, name: str) -> None:
    claim(isinstance(getattr(processor, "stage", None), Stage), f"{name} does not declare its stage: stage = Stage....")
    claim(
        isinstance(getattr(processor, "keeps_argmax", None), bool),
        f"{name} does not declare keeps_argmax, True or False",
    )


def _scores(rows: int, vocab: int, end_ids: Sequence[int], random: torch.Generator) -> Tensor:
    """``[rows, vocab]`` float32 rows of very different kinds, in turn."""
    scores = torch.randn(rows, vocab, generator=random) * 3
    for row in range(rows):
        kind = row % 6
        if kind == 1:  # a constraint leaves a few tokens
            scores[row, torch.rand(vocab, generator=random) < 0.8] = -math.inf
            scores[row, int(torch.randint(vocab, (1,), generator=random))] = 0.5
        elif kind == 2:  # a constraint leaves one token
            only = int(torch.randint(vocab, (1,), generator=random))
            scores[row] = torch.full((vocab,), -math.inf).index_fill(0, torch.tensor(only), -2.0)
        elif kind == 3:  # ties
            scores[row] = scores[row].round()
        elif kind == 4:  # one token holds nearly all the mass, far from zero
            scores[row] = scores[row] * 20 + 300
        elif kind == 5 and end_ids:
            only_ends = torch.full((vocab,), -math.inf)
            only_ends[list(end_ids)] = scores[row, list(end_ids)]
            scores[row] = only_ends
        elif kind == 5:  # nearly flat
            scores[row] = scores[row] * 1e-4
    return scores.to(chosen_device())


def _prefixes(rows: int, vocab: int, random: torch.Generator) -> Seen:
    """Prefixes of 0 to 15 ids, many of them repeated, some of it prompt."""
    lengths = [row % 16 for row in range(rows)]
    few = max(2, vocab // 8)  # few different ids, so that penalties and n-gram bans have work
    ids = [torch.randint(few, (length,), generator=random).tolist() for length in lengths]
    return Seen.of(ids, [length // 2 for length in lengths])


def _checked_call(processor: Any, name: str, scores: Tensor, seen: Seen) -> Tensor:
    """Call it, and check what holds of every single call."""
    given, ids, lengths = scores.clone(), copy.deepcopy(seen.ids), list(seen.prompt_lengths)
    out = processor(scores, seen)
    claim(isinstance(out, Tensor), f"{name} returned {type(out).__name__}, not a tensor")
    claim(torch.equal(scores, given), f"{name} modified the scores that it was given")
    claim(seen.ids == ids and list(seen.prompt_lengths) == lengths, f"{name} modified the prefixes that it was given")
    claim(
        out.shape == scores.shape and out.dtype == scores.dtype and out.device == scores.device,
        f"{name} returned {out.dtype} {list(out.shape)} for {scores.dtype} {list(scores.shape)}",
    )
    for row in range(len(scores)):
        claim(not bool(out[row].isnan().any()), f"{name} made NaN in row {row}")
        claim(not bool((out[row] == math.inf).any()), f"{name} made +inf in row {row}")
        revived = (scores[row] == -math.inf) & (out[row] > -math.inf)
        claim(not bool(revived.any()), f"{name} revived a forbidden token, {int(revived.int().argmax())}, in row {row}")
    return out


def _check_rows_alone(processor: Any, name: str, scores: Tensor, seen: Seen, out: Tensor) -> None:
    for row in range(len(scores)):
        alone = processor(scores[row : row + 1], seen[row : row + 1])
        claim(_same(alone[0], out[row]), f"{name} mixes rows: row {row} alone gives other scores than among others")


def _check_row_order(
    processor: Any, name: str, scores: Tensor, seen: Seen, out: Tensor, random: torch.Generator
) -> None:
    order = torch.randperm(len(scores), generator=random).tolist()
    shuffled = Seen.of([seen.ids[row] for row in order], [seen.prompt_lengths[row] for row in order])
    moved = processor(scores[order], shuffled)
    for place, row in enumerate(order):
        claim(_same(moved[place], out[row]), f"{name} depends on the order of the rows: row {row} at place {place}")


def _check_promises(processor: Any, name: str, scores: Tensor, out: Tensor) -> None:
    """What its stage and ``keeps_argmax`` promise."""
    left = (out > -math.inf).any(-1)
    if processor.stage in (Stage.TEMPERATURE, Stage.TRUNCATE):
        claim(bool(left.all()), f"{name} left no token at all in row {int(left.int().argmin())}")
    if processor.stage is Stage.PENALTY:
        removed = (scores > -math.inf) & (out == -math.inf)
        claim(not bool(removed.any()), f"{name} removes tokens, which stage PENALTY may not; declare Stage.HARD")
    if processor.keeps_argmax:
        best = scores.argmax(-1, keepdim=True)
        kept = out.gather(-1, best)[:, 0] == out.amax(-1)
        claim(
            bool(kept.all()),
            f"{name} claims keeps_argmax, but in row {int(kept.int().argmin())} another token is better now",
        )


def _same(one: Tensor, other: Tensor) -> bool:
    """The same tokens are forbidden, and the scores differ by no more than summation order can do."""
    finite = one > -math.inf
    return torch.equal(finite, other > -math.inf) and torch.allclose(one[finite], other[finite], rtol=1e-5, atol=1e-6)
