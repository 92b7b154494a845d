"""One schedule of ragged steps, held against ``generate()`` of each prompt alone."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decodeplug.caches import Paged
from decodeplug.target import Target
from decodeplug.testing.recipes import CANNOT_CACHE

PROMPT_LENGTHS = (5, 12, 9)
"""Shorter than, longer than and around a window of 8."""
NEW_TOKENS = 9
SCHEDULE = [[2, 0, -1], [1, 3, 0], [-1, 2, 2], [0, -1, 1], [0, 0, 0], [1, 0, 0]]
"""Drafted ids for each lane after the prefill, the first one right and the others wrong; -1: an empty feed."""


@dataclass(frozen=True)
class Outcome:
    path: str
    rewinds: bool
    worst: float
    wrong_rows: int
    note: str = ""


def prompts(vocab: int = 256, seed: int = 1) -> list[list[int]]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randint(3, vocab - 3, (length,), generator=random).tolist() for length in PROMPT_LENGTHS]


def generated(model: Any, prompt: list[int], new_tokens: int = NEW_TOKENS) -> tuple[list[int], Tensor]:
    """What ``generate()`` writes: all ids, and the logits ``[new_tokens, vocab]`` it chose them by."""
    rows: list[Tensor] = []
    hook = model.register_forward_hook(lambda *call: rows.append(call[-1].logits[0, -1].clone()))
    ids = torch.tensor([prompt], device=model.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1,
                max_new_tokens=new_tokens, min_new_tokens=new_tokens, eos_token_id=None, pad_token_id=0,
                use_cache=model.config.model_type not in CANNOT_CACHE,
            )  # fmt: skip
    finally:
        hook.remove()
    return text[0].tolist(), torch.stack(rows)


def walk(model: Any, cache: str | Paged = "dense", *, target: Target | None = None, fresh: bool = False) -> Outcome:
    """Go through the schedule and compare every row.

    :param fresh: Generate each truth with a copy of the model, because it remembers other texts.
    """
    truth = [generated(copy.deepcopy(model) if fresh else model, prompt) for prompt in prompts()]
    target = target or Target(model)
    session = target.session(cache)
    lanes = range(len(PROMPT_LENGTHS))
    ids = [list(text[: PROMPT_LENGTHS[lane]]) for lane, (text, _) in enumerate(truth)]
    held = session.keep([-1] * len(ids), [0] * len(ids))
    done, worst, wrong = [0] * len(ids), 0.0, 0
    for step in range(40):
        if min(done) >= NEW_TOKENS:
            break
        plan = SCHEDULE[step - 1] if 0 < step <= len(SCHEDULE) else [0] * len(ids)
        drafts: list[list[int]] = []
        for lane in lanes:
            room = min(plan[lane], NEW_TOKENS - 1 - done[lane])
            if session.max_draft is not None:
                room = min(room, session.max_draft)
            right = truth[lane][0][len(ids[lane]) : len(ids[lane]) + max(room, 0)]
            drafts.append([token if place == 0 else (token + 1) % 500 for place, token in enumerate(right)])
        active = [plan[lane] >= 0 and done[lane] < NEW_TOKENS for lane in lanes]
        feeds = [(ids[lane] + drafts[lane])[held[lane] :] if active[lane] else [] for lane in lanes]
        wants = [len(drafts[lane]) + 1 if active[lane] else 0 for lane in lanes]
        logits = list(session.forward(feeds, wants).split(wants))
        lengths = list(held)
        for lane in lanes:
            if not active[lane]:
                continue
            for place, row in enumerate(logits[lane]):
                expected = truth[lane][1][done[lane]]
                assert expected.isfinite().all(), "generate() itself has no finite logits"
                assert row.isfinite().all(), "logits are not finite"
                worst = max(worst, (row - expected).abs().max().item())
                token = int(row.argmax())
                wrong += token != int(expected.argmax())
                ids[lane].append(token)
                done[lane] += 1
                if place < len(drafts[lane]) and drafts[lane][place] != token:
                    break
            lengths[lane] = len(ids[lane]) - 1
        held = session.keep(list(lanes), lengths)
    assert min(done) >= NEW_TOKENS, f"the schedule did not finish: {done}"
    return Outcome(target.path, target.can_rewind, worst, wrong)
