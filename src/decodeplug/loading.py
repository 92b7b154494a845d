"""Models by name: a hub id, a local folder, or the embedded default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from decodeplug.errors import BadOption, DecodeplugError, ModelMissing, UnsupportedModel

__all__ = ["EMBEDDED", "load"]

EMBEDDED = "smollm2"
_HUB_ID = re.compile(r"([A-Za-z0-9_][\w.-]*/)?[A-Za-z0-9_][\w.-]*", re.ASCII)
_FORMS = 'a hub id such as "owner/name", a local folder, or "smollm2"'


def load(name: str | Path, **options: Any) -> tuple[Any, Any]:
    """The model, in eval mode, and its tokenizer.

    Nothing is executed from a model folder, and only safetensors weights are read, unless
    ``trust_remote_code`` or ``use_safetensors`` say otherwise.

    :param name: A hub id, a local folder, or "smollm2".
    :param options: For ``AutoModelForCausalLM.from_pretrained``; ``revision``, ``subfolder``,
        ``token``, ``cache_dir`` and ``local_files_only`` also for the tokenizer.
    :raises BadOption: There is no such folder, or what is in it cannot be read; says what.
    :raises ModelMissing: It is neither here nor reachable; says how to get it.
    :raises UnsupportedModel: It is no causal language model, or of a kind that is not known.
    """
    if not isinstance(name, str | Path) or not str(name):
        raise BadOption("from_pretrained", name=name, wanted=_FORMS)
    source = _source(name)
    # Said outright, since transformers would ask on the terminal otherwise.
    options = {"use_safetensors": True, "trust_remote_code": False, **options}
    shared = {
        key: options[key]
        for key in ("revision", "subfolder", "token", "cache_dir", "local_files_only", "trust_remote_code")
        if key in options
    }
    _check_kind(str(name), source, shared)
    return _model(source, options), _tokenizer(source, shared)


def _source(name: str | Path) -> str:
    """What transformers is given: the folder, or the hub id."""
    if str(name) == EMBEDDED:
        from decodeplug.embedded import embedded_folder

        return str(embedded_folder())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder)
    if folder.exists():
        raise BadOption("from_pretrained", name=str(name), wanted=f"{_FORMS}; this is a file")
    if isinstance(name, Path) or not _HUB_ID.fullmatch(name):
        raise BadOption("from_pretrained", name=str(name), wanted=f"{_FORMS}; there is no folder {folder.absolute()}")
    return name


def _check_kind(name: str, source: str, shared: dict[str, Any]) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(source, **shared)
    except OSError as error:
        raise _unreadable(source, "a model", error) from error
    except ValueError as error:
        if Path(source).is_dir() and not (Path(source) / shared.get("subfolder", "") / "config.json").is_file():
            raise _unreadable(source, "a model", FileNotFoundError("it has no config.json")) from error
        raise UnsupportedModel(name, because=_first_line(error), instead=_way_out(error)) from error
    if type(config) not in AutoModelForCausalLM._model_mapping and not shared["trust_remote_code"]:
        raise UnsupportedModel(
            name, because=f"{config.model_type!r} is no causal language model", instead="Use a decoder model"
        )


def _way_out(error: ValueError) -> str:
    if "trust_remote_code" in str(error):
        return "Pass trust_remote_code=True if you trust its code"
    return "Write its model_type into config.json, update transformers, or load the model yourself and use Host(model)"


def _model(source: str, options: dict[str, Any]) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(source, **options).eval()
    except (OSError, SafetensorError) as error:
        raise _unreadable(source, "a whole model, with its weights as safetensors", error) from error
    except (ImportError, TypeError, ValueError) as error:
        wanted = f"options with which transformers loads it: {type(error).__name__}: {_first_line(error)}"
        raise BadOption("from_pretrained", name=source, wanted=wanted) from error


def _tokenizer(source: str, shared: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    wanted = "a model with its tokenizer; if it has none, load the model yourself and use Host(model, tokenizer)"
    try:
        return AutoTokenizer.from_pretrained(source, **shared)
    except (OSError, ImportError, TypeError, ValueError, KeyError) as error:
        if isinstance(error, OSError):
            raise _unreadable(source, wanted, error) from error
        raise BadOption("from_pretrained", name=source, wanted=f"{wanted}: {_first_line(error)}") from error


def _unreadable(source: str, wanted: str, error: Exception) -> DecodeplugError:
    if Path(source).is_dir():
        return BadOption("from_pretrained", name=source, wanted=f"a folder with {wanted}: {_first_line(error)}")
    if isinstance(error, OSError):
        return ModelMissing(source, f"hf download {source}")
    return BadOption("from_pretrained", name=source, wanted=f"{wanted}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
