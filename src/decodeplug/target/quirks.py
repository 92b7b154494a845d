"""What is peculiar about single families, each with its reason. Everything else is read from the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from decodeplug.target.masks import MaskRule

__all__ = ["NO_QUIRK", "Quirk", "quirk_of"]


@dataclass(frozen=True, slots=True)
class Quirk:
    """How a family differs.

    :ivar because: The reason, as ``doctor`` shows it.
    :ivar path: A path other than the one its layers suggest: "steps" (its own cache,
        lane by lane), "recompute" (no cache) or "refuse".
    :ivar wide: With "steps": it continues exactly with several new ids at once.
    :ivar single_steps: Behind the prompt its layers take one id at a time.
    :ivar equal_lengths_from: Lanes share a forward only with others of their own length,
        once one of them is longer than this (a number, or a name in the config).
    :ivar passes_positions: It hands ``position_ids`` on although its signature does not say so.
    :ivar packed: Its attention wants contiguous keys and values.
    :ivar window_behind_prompt: Only rows behind the prompt have the window.
    :ivar layers: ``layers(config, kinds)`` -> the layers that its cache really has, or
        none if it reads the cache's tensors itself.
    :ivar starts_over: ``generate()`` feeds a text again when it outgrows the short
        frequencies of "longrope".
    :ivar replay: Its oracle feeds the prompt at once and the rest one by one.
    """

    because: str
    path: Literal["steps", "recompute", "refuse"] | None = None
    wide: bool = False
    single_steps: bool = False
    equal_lengths_from: int | str | None = None
    passes_positions: bool = False
    packed: bool = False
    window_behind_prompt: bool = False
    layers: Callable[[Any, list[str]], list[str]] | None = None
    starts_over: bool = False
    replay: bool = False

    def limit(self, config: Any) -> int | None:
        """The length behind which a text is fed again, if this model has one."""
        kind = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
        return config.original_max_position_embeddings if self.starts_over and kind == "longrope" else None

    def rule(self, config: Any) -> MaskRule | None:
        """The restriction of masks that this family needs."""
        window = getattr(config, "sliding_window", None)
        if not self.window_behind_prompt or window is None:
            return None

        def rule(query: Tensor, slot: Tensor, prompt: Tensor) -> Tensor:
            return (slot > query - window) | (query < prompt)

        return rule


def _looped(config: Any, kinds: list[str]) -> list[str]:
    """Layers that run several times have a cache layer for each time, behind all others."""
    if config.recurrent_kv_cache_mode == "last_loop":
        return []
    start = config.n_input_layers
    return kinds + kinds[start : start + config.n_recurrent_layers] * (config.n_recurrent_loops - 1)


NO_QUIRK = Quirk("")

CLAMPS = Quirk(
    "several ids at once are computed with clamped time steps, single ids without", single_steps=True, replay=True
)
IGNORES_STATE = Quirk("its layers ignore their state when several ids are fed behind the prompt", single_steps=True)
MIXES_TOKENS = Quirk(
    "its router mixes the tokens of a forward, so each is computed as generate() does it", path="steps", replay=True
)
TWO_RANGES = Quirk("a text is fed again when it outgrows the short frequencies", starts_over=True)
OWN_CACHE = "it insists on a cache class of its own"

QUIRKS: dict[str, Quirk] = {
    "mamba": IGNORES_STATE,
    "nemotron_h": CLAMPS,
    "zamba2": CLAMPS,
    "zamba": Quirk("it continues with several ids at once only nearly as with single ones", single_steps=True),
    "falcon_mamba": IGNORES_STATE,
    "jamba": IGNORES_STATE,
    "gpt_neox_japanese": Quirk("its attention views keys and values as contiguous", packed=True),
    "gpt_neo": Quirk("its local layers cut their window from a table by the longest lane", equal_lengths_from=0),
    "llama4": Quirk("its attention temperature follows the longest lane", equal_lengths_from="floor_scale"),
    "llama4_text": Quirk("its attention temperature follows the longest lane", equal_lengths_from="floor_scale"),
    "moshi": Quirk(
        "its window is made by the cache, so only rows behind the prompt have it", window_behind_prompt=True
    ),
    "moss_transcribe_diarize": Quirk("it hands positions on to its language model", passes_positions=True),
    "phi3": TWO_RANGES,
    "phi4_multimodal": TWO_RANGES,
    "phimoe": TWO_RANGES,
    "deepseek_v4": Quirk(OWN_CACHE, path="steps", wide=True),
    "xlstm": Quirk(OWN_CACHE, path="steps", wide=True),
    "inkling_text": Quirk("it takes positions from the cache, one for the whole batch", path="steps", wide=True),
    "inkling2_text": Quirk("it takes positions from the cache, one for the whole batch", path="steps", wide=True),
    "inkling2_loop_text": Quirk("it takes positions from the cache, one for the whole batch", path="steps", wide=True),
    "qwen4_exp": Quirk("its indexer keeps positions in the cache", path="steps", wide=True),
    "qwen4_exp_text": Quirk("its indexer keeps positions in the cache", path="steps", wide=True),
    "minimax": Quirk(OWN_CACHE, path="steps", replay=True),
    "roformer": Quirk("it takes positions from the cache, one for the whole batch", path="steps", replay=True),
    "rwkv": Quirk(OWN_CACHE, path="steps"),
    "dory": Quirk("where its loops share keys, the width of a forward changes its result", layers=_looped, replay=True),
    "prophetnet": Quirk("it takes no mask for several new ids", path="steps", replay=True),
    "cpmant": Quirk("it puts a prompt of its own before each text", path="steps", replay=True),
    "xlnet": Quirk("it predicts from a dummy id that it appends", path="steps", replay=True),
    "xlm": Quirk("it predicts from a mask id that it appends", path="steps", replay=True),
    "reformer": Quirk("it keeps hidden states and buckets, and pads to its chunks", path="steps", replay=True),
    "blt": Quirk("transformers itself cannot make a cache for it", path="recompute"),
    "recurrent_gemma": Quirk("it keeps its state in its modules, where lanes would mix", path="recompute"),
    "musicgen": Quirk("it writes several codebooks of sound at once", path="refuse"),
    "musicgen_decoder": Quirk("it writes several codebooks of sound at once", path="refuse"),
    "musicgen_melody": Quirk("it writes several codebooks of sound at once", path="refuse"),
    "musicgen_melody_decoder": Quirk("it writes several codebooks of sound at once", path="refuse"),
    "gemma4_assistant": Quirk("it drafts for a Gemma 4 whose states it needs, and writes nothing alone", path="refuse"),
    "gemma4_unified_assistant": Quirk(
        "it drafts for a Gemma 4 whose states it needs, and writes nothing alone", path="refuse"
    ),
    "openai-gpt": Quirk("it has no cache", path="recompute"),
}


def quirk_of(module: Any) -> Quirk:
    """The quirk of a model: by its own model type, or by that of the language model inside it."""
    text = module.config.get_text_config(decoder=True)
    if text.model_type == "doge" and text.is_moe:
        return MIXES_TOKENS
    quirk = QUIRKS.get(module.config.model_type) or QUIRKS.get(text.model_type, NO_QUIRK)
    if quirk is NO_QUIRK and (getattr(text, "time_step_limit", None) or [0.0])[0] > 0:
        return CLAMPS
    return quirk
