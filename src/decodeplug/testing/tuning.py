"""Tunes the output layer of a random model, so that its texts are worth testing with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

__all__ = ["tune_output_layer"]

TEXTS, LENGTH, PROMPT = 48, 60, 4
ENTROPY_BITS, ENDING = 2.0, 1 / 3


@torch.no_grad()
def tune_output_layer(model: PreTrainedModel, *, pad: int, bos: int, end: int, seed: int) -> None:
    """Scale the output layer for its entropy and turn the end token's row, both in place."""
    head = _output_layer(model).weight
    random = torch.Generator().manual_seed(seed)
    head.normal_(generator=random)
    head[[pad, bos, end]] = 0.0  # zero is far below the best of many
    prompts = torch.randint(0, pad, (TEXTS, PROMPT), generator=random)
    noise = -torch.empty(TEXTS, LENGTH, head.shape[0], dtype=head.dtype).exponential_(generator=random).log()
    noise[TEXTS // 2 :] = 0.0  # one half of the texts is sampled, one half greedy

    guess = torch.randint(0, pad, (TEXTS, LENGTH), generator=random)
    head *= _scale_for_entropy(_last_hidden(model, guess).flatten(0, 1) @ head.T)
    texts = _own_texts(model, prompts, noise, end)
    states = _last_hidden(model, texts)[:, PROMPT - 1 : -1]
    head *= _scale_for_entropy(states[: TEXTS // 2].flatten(0, 1) @ head.T)
    head[end] = _end_row(states, head, end, random)


def _output_layer(model: PreTrainedModel) -> torch.nn.Linear:
    layer = model.get_output_embeddings()
    assert isinstance(layer, torch.nn.Linear), "every kind here has a linear output layer"
    return layer


def _last_hidden(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """``[texts, positions, hidden]``: what the output layer gets."""
    caught: list[Tensor] = []
    hook = _output_layer(model).register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        model(ids, use_cache=False)
    finally:
        hook.remove()
    return caught[0]


def _own_texts(model: PreTrainedModel, prompts: Tensor, noise: Tensor, end: int) -> Tensor:
    """``[texts, prompt + LENGTH]``: what the model writes when it may not end."""

    def perturb(ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores + noise[:, ids.shape[1] - PROMPT]
        scores[:, end] = -math.inf
        return scores

    generate: Any = model.generate  # its overloads are too wide for a type checker
    return generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=False,
        max_new_tokens=LENGTH,
        logits_processor=[perturb],
        eos_token_id=None,
    )


def _scale_for_entropy(logits: Tensor) -> float:
    """The factor that gives ``[rows, vocab]`` logits the mean entropy wanted (bisection)."""
    logits = logits[::13]  # enough of them for a mean, in a fraction of the time
    wanted = min(ENTROPY_BITS, 0.6 * math.log2(logits.shape[-1]))
    low, high = 1e-2, 1e2
    for _ in range(16):
        middle = math.sqrt(low * high)
        entropy = torch.distributions.Categorical(logits=logits * middle).entropy().mean() / math.log(2)
        low, high = (middle, high) if entropy > wanted else (low, middle)
    return low


def _end_row(states: Tensor, head: Tensor, end: int, random: torch.Generator) -> Tensor:
    """A row for the end token with which a third of the texts end, sampled and greedy.

    :param states: ``[texts, positions, hidden]``, the first half of the texts sampled, the other greedy.
    :returns: ``[hidden]``. The texts were written without an end, so a sampled one ends with
        probability ``1 - prod(1 - p_end)`` and a greedy one where the end is ever the best.
    """
    others = states @ head.T
    others[..., end] = -math.inf
    half = len(states) // 2
    rest, best = others[:half].logsumexp(-1), others[half:].amax(-1)
    mean = states.mean((0, 1))
    bias = mean / mean.dot(mean)  # adding it raises the end token by about one everywhere
    rows = torch.randn(12, head.shape[1], dtype=head.dtype, generator=random) * head[:end].std()

    def sampled(row: Tensor) -> float:
        return 1 - torch.sigmoid(rest - states[:half] @ row).prod(-1).mean().item()

    found, closest = rows[0], math.inf
    for row in rows:
        low, high = -60.0, 60.0
        for _ in range(16):
            shift = (low + high) / 2
            low, high = (low, shift) if sampled(row + shift * bias) > ENDING else (shift, high)
        turned = row + low * bias
        greedy = (states[half:] @ turned > best).any(-1).double().mean().item()
        away = abs(greedy - ENDING) + abs(sampled(turned) - ENDING)
        if away < closest:
            found, closest = turned, away
    return found
