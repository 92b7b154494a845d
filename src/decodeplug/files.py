"""Files that are whole or not there: tensors as safetensors, facts as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from decodeplug.errors import BadOption

__all__ = ["read_facts", "read_tensors", "write_tensors", "write_text"]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and, in the header of the same file, plain facts."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {name: json.dumps(value) for name, value in facts.items()}
    _in_one_step(path, lambda scratch: save_file(whole, scratch, metadata))


def read_tensors(path: Path, part: str, command: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the facts of a file.

    :param part: What is read, for messages. :param command: What writes such files.
    :raises BadOption: There is no such file, or it is not one of ours.
    """
    with _opened(path, part, command) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _facts(file)  # noqa: SIM118 - it is no mapping


def read_facts(path: Path, part: str, command: str) -> dict[str, Any]:
    """The facts of a file, whose tensors are left on the disk.

    :param part, command: As of :func:`read_tensors`.
    :raises BadOption: There is no such file, or it is not one of ours.
    """
    with _opened(path, part, command) as file:
        return _facts(file)


def _facts(file: Any) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}


@contextmanager
def _opened(path: Path, part: str, command: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        wanted = f"a folder that `{command}` wrote: {path.name} cannot be read ({error})"
        raise BadOption(part, path=str(path.parent), wanted=wanted) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    _in_one_step(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def _in_one_step(path: Path, write: Callable[[Path], Any]) -> None:
    # Beside its place, so that the move is one step: who interrupts it finds the file of before.
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
