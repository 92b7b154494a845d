"""Models by name: a hub id, a local folder, or the embedded default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from decodeplug.errors import BadOption, ModelMissing, UnsupportedModel

__all__ = ["EMBEDDED", "load"]

EMBEDDED = "smollm2"


def load(name: str, **options: Any) -> tuple[Any, Any]:
    """The model, in eval mode, and its tokenizer.

    Nothing is executed from a model folder, and only safetensors weights are read, unless
    ``trust_remote_code`` or ``use_safetensors`` say otherwise.

    :param name: A hub id, a local folder, or "smollm2".
    :param options: For ``AutoModelForCausalLM.from_pretrained``; ``revision``, ``subfolder``,
        ``token``, ``cache_dir`` and ``local_files_only`` also for the tokenizer.
    :raises ModelMissing: It is neither here nor reachable; says how to get it.
    :raises UnsupportedModel: It is no causal language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if not isinstance(name, str | Path) or not str(name):
        raise BadOption("from_pretrained", name=name, wanted='a hub id, a local folder, or "smollm2"')
    source = _embedded() if str(name) == EMBEDDED else str(name)
    shared = {
        key: options[key]
        for key in ("revision", "subfolder", "token", "cache_dir", "local_files_only", "trust_remote_code")
        if key in options
    }
    try:
        config = AutoConfig.from_pretrained(source, **shared)
        if type(config) not in AutoModelForCausalLM._model_mapping and not shared.get("trust_remote_code"):
            raise UnsupportedModel(
                str(name), because=f"{config.model_type!r} is no causal language model", instead="Use a decoder model"
            )
        model = AutoModelForCausalLM.from_pretrained(source, **{"use_safetensors": True, **options})
        tokenizer = AutoTokenizer.from_pretrained(source, **shared)
    except OSError as error:
        raise ModelMissing(str(name), f"hf download {name}") from error
    return model.eval(), tokenizer


def _embedded() -> str:
    from decodeplug.embedded import embedded_folder

    return str(embedded_folder())
