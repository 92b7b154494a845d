"""Tiny random models whose texts are worth testing with.

A random model has nearly uniform logits, with which wrong code gives the right ids by
luck and right code has no margin. These are tuned when they are built: attention looks
at something, a next token has one to three bits of entropy along the model's own texts,
and about a third of the texts end within sixty tokens.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from decodeplug.testing.device import chosen_device
from decodeplug.testing.tuning import tune_output_layer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["KINDS", "like", "tiny_model"]

MOE = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
MLA = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
}

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),  # rotary positions, full attention
    "mistral": ("mistral", {}),  # every layer a sliding window
    "gemma3": ("gemma3_text", {"head_dim": 16}),  # sliding and full layers in turn
    "gpt2": ("gpt2", {}),  # absolute positions
    "bloom": ("bloom", {}),  # ALiBi
    "gpt-oss": ("gpt_oss", {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2}),  # attention sinks
    "mixtral": ("mixtral", MOE),  # routed experts
    "deepseek": ("deepseek_v3", MLA),  # latent attention, routed experts
    "mamba": ("mamba", {"state_size": 8}),  # a state that cannot be rewound
    "qwen3-next": ("qwen3_next", {**MOE, **LINEAR, "head_dim": 16, "shared_expert_intermediate_size": 32}),  # hybrid
}
"""Name -> (transformers' model type, its own options)."""

WINDOWED = {"mistral", "gemma3", "gpt-oss"}


def tiny_model(
    kind: str = "llama",
    *,
    vocab: int = 259,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    layers: int = 2,
    hidden: int = 64,
    window: int = 8,
    context: int = 512,
    padded_to: int | None = None,
    **overrides: Any,
) -> PreTrainedModel:
    """A random causal language model in eval mode: yours to change, a fresh copy each time.

    It is on the CPU, unless the variable ``DECODEPLUG_TEST_DEVICE`` names another device.

    The last three ids of the vocabulary are pad, bos and end, as in ``byte_tokenizer`` and
    ``bpe_tokenizer``: ``tiny_model(vocab=len(tokenizer))`` fits either. Pad and bos hardly
    ever come up by themselves.

    :param kind: One of ``KINDS``.
    :param vocab: Ids of the tokenizer, at least 5.
    :param seed: Another seed, another model; the same one gives the same weights.
    :param window: Sliding window in tokens, of the kinds that have one.
    :param context: Positions that the configuration claims.
    :param padded_to: Width of the logits where it shall be more than ``vocab``. The surplus
        ids are about as likely as real ones, so that code which lets them through shows it.
    :param overrides: Further options of the configuration; tuples become lists.
    :returns: A model whose ``generation_config`` names the end, bos and pad ids. The first call
        with given arguments takes some tenths of a second, later ones a few milliseconds.
    """
    tuned = _tuned_model(
        kind, vocab, seed, layers, hidden, window, context, padded_to, tuple(sorted(overrides.items()))
    )
    model = copy.deepcopy(tuned)
    torch.nn.Module.to(model, chosen_device(), dtype)
    return model


def like(model: PreTrainedModel, *, strength: float = 0.5, seed: int = 0) -> PreTrainedModel:
    """A model that often says the same: a copy whose output layer is a little off, as a good assistant's is.

    :param model: Not modified. :param strength: Of the noise, relative to the weights: 0 is the same model.
    """
    other = copy.deepcopy(model)
    output: Any = other.get_output_embeddings()
    weight = output.weight
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(weight.shape, generator=random, dtype=torch.float64).to(weight.device, weight.dtype)
    with torch.no_grad():
        weight += strength * weight.std() * noise
    return other


@cache
def _tuned_model(
    kind: str,
    vocab: int,
    seed: int,
    layers: int,
    hidden: int,
    window: int,
    context: int,
    padded_to: int | None,
    overrides: tuple[tuple[str, Any], ...],
) -> PreTrainedModel:
    """The model that copies are made of, in float64."""
    pad, bos, end = vocab - 3, vocab - 2, vocab - 1
    width = max(vocab, padded_to or 0)
    model_type, own = KINDS[kind]
    options: dict[str, Any] = {
        "vocab_size": width,
        "hidden_size": hidden,
        "intermediate_size": 96,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "initializer_range": 0.15,  # at 0.02 attention is flat, and no text depends on its beginning
        "tie_word_embeddings": False,  # tied random models repeat their last token
        "pad_token_id": pad,
        "bos_token_id": bos,
        "eos_token_id": end,
        **own,
        **_layers(kind, layers, window),
        **{name: list(value) if isinstance(value, tuple) else value for name, value in overrides},
    }
    model = _random_model(model_type, options, seed)
    tune_output_layer(model, pad=pad, bos=bos, end=end, seed=seed)
    model.generation_config.update(pad_token_id=pad, bos_token_id=bos, eos_token_id=end, max_length=None)
    return model


def _layers(kind: str, layers: int, window: int) -> dict[str, Any]:
    """Options that say which layer is of which type."""
    if kind == "mistral":
        return {"sliding_window": window}
    if kind in WINDOWED:
        types = ["sliding_attention" if layer % 2 == 0 else "full_attention" for layer in range(layers)]
        return {"sliding_window": window, "layer_types": types}
    if kind == "qwen3-next":
        return {"layer_types": ["linear_attention" if layer % 2 == 0 else "full_attention" for layer in range(layers)]}
    return {}


def _random_model(model_type: str, options: dict[str, Any], seed: int) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **options), dtype=torch.float64)
    model.set_experts_implementation("eager")  # the grouped one refuses float64
    return model.to(torch.float64).eval()
