"""What is expected of each family, and what came out."""

from __future__ import annotations

import contextlib

from families.precision import StaysInFloat64
from families.walk import Outcome, walk
from huggingface_hub.errors import StrictDataclassClassValidationError

from decodeplug.caches import Paged
from decodeplug.errors import IncompatibleParts
from decodeplug.target import Target
from decodeplug.target.model import NAMED
from decodeplug.testing.families import family_model
from decodeplug.testing.recipes import FLOAT32_ONLY

CI = (
    "gpt2", "llama", "qwen3", "gemma3_text", "bloom", "opt", "mamba", "jamba", "mixtral", "deepseek_v3", "gpt_oss",
    "falcon", "qwen3_next", "bert", "bart",
)  # fmt: skip
"""A dozen and some of different kinds."""

STORED = (
    "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "biogpt", "blenderbot", "blenderbot-small",
    "bloom", "camembert", "ctrl", "data2vec-text", "electra", "ernie", "git", "gpt-sw3", "gpt2", "gpt_neo",
    "marian", "mbart", "megatron-bert", "mpt", "mvp", "opt", "pegasus", "plbart", "rembert", "roberta",
    "roberta-prelayernorm", "roc_bert", "trocr", "whisper", "xglm", "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
"""Those whose layers can be kept by their input: positions do not turn their keys, and each query head has a key head."""

REFUSED = {
    "gemma4_unified_assistant": "drafts for a Gemma 4",
}
"""Family -> what the error says. Their own ``generate()`` does not work alone either."""

CANNOT_BE_BUILT: dict[str, tuple[type[Exception], str]] = {
    "gemma3n": (ImportError, "timm"),
    "gemma4_assistant": (StrictDataclassClassValidationError, "hidden_size_per_layer_input must be 0"),
    "musicgen": (AttributeError, "MusicgenConfig"),
    "musicgen_melody": (AttributeError, "MusicgenMelodyConfig"),
}
"""Family -> how building it from its config fails, in transformers itself."""

TOLERANCE = dict.fromkeys(FLOAT32_ONLY, 3e-5)


def why_not(target: Target, cache: str) -> str | None:
    """Why a model cannot have a cache; None if it can."""
    try:
        target.refuse_cache(NAMED[cache])
    except IncompatibleParts as refused:
        return refused.because
    return None


def outcome_of(family: str, cache: str) -> Outcome:
    """Walk a family: in float64 throughout, or in float32 where it knows nothing else.

    Blocks of a paged cache are so small that windows are left.
    """
    with contextlib.nullcontext() if family in FLOAT32_ONLY else StaysInFloat64():
        return walk(family_model(family), Paged(2) if cache == "paged" else cache)
