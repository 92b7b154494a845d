"""Which path a model takes, chosen before it is first run."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from torch.nn.modules.dropout import _DropoutNd
from transformers.cache_utils import get_layer_types_and_kwargs
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from decodeplug.caches.dense import KINDS
from decodeplug.errors import UnsupportedModel
from decodeplug.target.grouping import LaneTraits, alone, by_length, by_width
from decodeplug.target.quirks import NO_QUIRK, Quirk, quirk_of

__all__ = ["Choice", "choose", "step_by_step", "unwrapped"]

STATEFUL = {"conv", "linear_attention", "hybrid", "hybrid_sliding"}


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model will be run.

    :ivar path: "ragged" (all lanes in one forward), "grouped" (lanes of equal width, or
        of equal length, in one), "single" (each lane in its own), "steps" (each lane with
        the model's own cache) or "recompute" (no cache at all).
    :ivar because: One sentence for ``doctor``.
    :ivar kinds: transformers' layer types, one per layer. :ivar states: States per layer.
    :ivar windows: Slots that a row of a layer sees; None: all, or not known.
    """

    path: str
    because: str
    quirk: Quirk
    max_draft: int | None = None
    kinds: tuple[str, ...] = ()
    states: tuple[int, ...] = ()
    windows: tuple[int | None, ...] = ()
    lanes: LaneTraits = field(default_factory=LaneTraits)


def choose(module: Any) -> Choice:
    """Choose the path of a model.

    :raises UnsupportedModel: It cannot be decoded, and why.
    """
    refuse_what_does_not_write(module)
    refuse_dropout(module)
    config = module.config.get_text_config(decoder=True)
    quirk = quirk_of(module)
    if quirk.path == "refuse":
        raise UnsupportedModel(type(module).__name__, because=quirk.because)
    if quirk.path == "recompute":
        return Choice("recompute", f"{quirk.because}: every forward computes its lanes from their first id", quirk)
    if quirk.path == "steps":
        return _steps(quirk, quirk.because)
    if not hasattr(config, "num_hidden_layers"):
        return _steps(quirk, "it is made of several stacks of layers")
    kinds, options = get_layer_types_and_kwargs(config)
    options = list(options)
    if quirk.layers is not None:
        kinds = quirk.layers(config, list(kinds))
        options += [{}] * (len(kinds) - len(options))
        if not kinds:
            return _steps(quirk, quirk.because)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        return _steps(quirk, f"it has layers of a kind that no cache here knows ({', '.join(unknown)})")
    if "cache" not in inspect.signature(module.forward).parameters:
        return _steps(quirk, "its forward takes no cache argument")
    attention = attention_of(config)
    if attention not in ALL_MASK_ATTENTION_FUNCTIONS and "flash" not in attention:
        return _steps(quirk, f"transformers makes no mask for attn_implementation={attention!r}")
    states = tuple(option.get("number_of_states", 1) for option in options)
    windows = tuple(None if quirk.layers else option.get("sliding_window") for option in options)
    path, because, traits = _lanes(config, kinds, quirk)
    return Choice(path, because, quirk, traits.max_draft, tuple(kinds), states, windows, traits)


def attention_of(config: Any) -> str:
    """The name of the attention implementation."""
    return str(getattr(config, "_attn_implementation", None) or "eager")


def step_by_step(because: str) -> Choice:
    """The path that is right for whatever ``generate()`` is right for, and the slowest."""
    return _steps(NO_QUIRK, because)


def _steps(quirk: Quirk, because: str) -> Choice:
    return Choice(
        "steps", f"{because}: each lane has the model's own cache", quirk, max_draft=None if quirk.wide else 0
    )


def _lanes(config: Any, kinds: list[str], quirk: Quirk) -> tuple[str, str, LaneTraits]:
    attention = attention_of(config)
    rule = quirk.rule(config)
    if STATEFUL.intersection(kinds):
        because = "it has recurrent layers: lanes with equally many new ids share a forward"
        if quirk.single_steps:
            return (
                "grouped",
                f"{because}; {quirk.because}",
                LaneTraits(by_width, max_draft=0, masked=False, single_steps=True),
            )
        because += ", and a state is put back when a draft is dropped"
        return "grouped", because, LaneTraits(by_width, masked=False)
    if attention not in ("sdpa", "eager"):
        because = f"attn_implementation={attention!r} takes no mask of ours: every lane has a forward of its own"
        return "single", because, LaneTraits(alone, masked=False, own_masks=False)
    longest = quirk.equal_lengths_from
    if longest is not None:
        limit = longest if isinstance(longest, int) else getattr(config, longest)
        because = f"{quirk.because}: only lanes of equal length share a forward" + (
            f" behind position {limit}" if limit else ""
        )
        return "grouped" if not limit else "ragged", because, LaneTraits(by_length(limit), rule=rule)
    because = "all lanes share a forward, each at its own length"
    return "ragged", f"{because} ({quirk.because})" if quirk.because else because, LaneTraits(rule=rule)


def unwrapped(model: Any) -> tuple[Any, Any]:
    """The transformers model inside a wrapper, and what to call.

    A compiled model is called in its compiled form. Adapters of PEFT sit in the modules of
    the model that they adapt, so that one is called.

    :raises UnsupportedModel: The adapter puts virtual tokens before each text.
    """
    module = getattr(model, "_orig_mod", model)
    if not callable(getattr(module, "get_base_model", None)):
        return module, model
    if getattr(module.active_peft_config, "is_prompt_learning", False):
        raise UnsupportedModel(
            type(module).__name__,
            because="its adapter puts virtual tokens before each text, which shifts all positions",
            instead="Use an adapter that changes weights (LoRA and its like)",
        )
    return module.get_base_model(), module.get_base_model()


def refuse_what_does_not_write(module: Any) -> None:
    """Raise :class:`UnsupportedModel` for what is no causal language model."""
    name = type(module).__name__
    config = getattr(module, "config", None)
    if not hasattr(module, "forward") or not hasattr(config, "get_text_config"):
        raise UnsupportedModel(name, because="it is not a transformers model", instead="Pass a PreTrainedModel")
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModel(
            name,
            because="it is an encoder-decoder model, and decodeplug continues one text from left to right",
            instead="Use model.generate(), or a decoder-only model",
        )
    if not (hasattr(type(module), "can_generate") and type(module).can_generate()):
        raise UnsupportedModel(
            name,
            because="it has no generate(): masked-language, embedding and encoder models do not write from left to right",
            instead="Load it with AutoModelForCausalLM, if it has such a form",
        )
    if getattr(module, "main_input_name", "input_ids") != "input_ids":
        raise UnsupportedModel(name, because=f"its input is {module.main_input_name!r}, not text")


def refuse_dropout(module: Any) -> None:
    """Raise :class:`UnsupportedModel` for a model in training mode, or one with a part that drops."""
    # A fresh adapter is in training mode although the model that it was put into is not.
    dropping = any(isinstance(part, _DropoutNd) and part.training and part.p > 0 for part in module.modules())
    if module.training or dropping:
        raise UnsupportedModel(
            type(module).__name__,
            because="it is in training mode, so dropout would change every text",
            instead="Call model.eval() first",
        )
