"""What commands that learn from text have in common: where it comes from, and how they are stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decodeplug.heads import Row

__all__ = ["WRITING", "interrupted", "texts_of"]

WRITING = 128
"""Texts that the model writes at once: on two cores, half as many at once take a fifth longer."""


def texts_of(
    host: Any, files: list[Path], self_generated: int, out: Path, seed: int, progress: Any, command: str = "train-heads"
) -> tuple[list[Row], str]:
    """Texts to learn from, and where they come from: files, or else so many tokens that the model writes into a folder."""
    from decodeplug.heads import read_files, self_written

    if files:
        return read_files(files, host.tokenizer, command), ", ".join(file.name for file in files)
    task = progress.add_task("the model writes", total=self_generated)
    rows = self_written(
        host,
        self_generated,
        out,
        seed=seed,
        hidden=command == "train-heads",
        tell=lambda count: progress.update(task, completed=count),
    )
    return rows, "written by the model itself"


@contextmanager
def interrupted() -> Iterator[Callable[[], bool]]:
    """Within it, the first Ctrl-C is remembered, so that no step is cut in two; the second one is as always.

    :returns: Whether there was one.
    """
    was_pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can a signal be handled
        yield was_pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: Any) -> None:
        was_pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, remember)
    try:
        yield was_pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
