"""Texts as ids, cut into rows: what heads are trained and measured on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from decodeplug.errors import BadOption

__all__ = ["Row", "counted", "hash_of", "held_out", "read_files", "rows_of"]

_HELD_OUT = 16  # every so many-th row is kept for measuring
_SHORTEST = 8  # ids; a shorter row teaches nothing


@dataclass(frozen=True, slots=True)
class Row:
    """A piece of text that the model reads in one forward.

    :ivar ids: Its ids. :ivar start: Index of the first one that counts: what comes before, such as a
        prompt, is read but neither learned nor measured.
    :ivar hidden: ``[ids, hidden]``: what the model's output layer read after each id, if that is known. The last row may be
        zeros: nothing is foreseen from the end of a text.
    """

    ids: Sequence[int]
    start: int = 0
    hidden: Tensor | None = field(default=None, compare=False, repr=False)


def read_files(files: Sequence[Path], tokenizer: Any, command: str = "train-heads") -> list[Row]:
    """Text files as ids, one row each, without special tokens.

    :param command: What they are read for, for messages.
    :raises BadOption: A file cannot be read as UTF-8 text, or holds nothing.
    """
    rows = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption(command, text=str(file), wanted=f"a text file in UTF-8: {error}") from error
        # verbose: a tokenizer would warn that the whole file is longer than the model's window.
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) < _SHORTEST:
            raise BadOption(command, text=str(file), wanted=f"a text of at least {_SHORTEST} tokens")
        rows.append(Row(ids))
    return rows


def rows_of(texts: Iterable[Row], width: int) -> list[Row]:
    """Texts cut into rows of at most ``width`` ids; each begins anew, without what was before it, as far as it is read anew."""
    rows = []
    for text in texts:
        for begin in range(0, len(text.ids), width):
            hidden = None if text.hidden is None else text.hidden[begin : begin + width]
            row = Row(text.ids[begin : begin + width], max(text.start - begin, 0), hidden)
            if len(row.ids) - row.start >= _SHORTEST:
                rows.append(row)
    return rows


def held_out(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows to learn from, and those to measure with: every sixteenth, at least one.

    :raises BadOption: There are fewer than two.
    """
    if len(rows) < 2:
        raise BadOption("train-heads", rows=len(rows), wanted="more text: at least two rows of it")
    every = min(_HELD_OUT, len(rows))
    learned = [row for index, row in enumerate(rows) if index % every != every - 1]
    return learned, [row for index, row in enumerate(rows) if index % every == every - 1]


def counted(rows: Iterable[Row]) -> Counter[int]:
    """How often each id is among those that count."""
    return Counter(token for row in rows for token in row.ids[row.start :])


def hash_of(rows: Iterable[Row]) -> str:
    """What tells these rows from others."""
    text = json.dumps([[row.start, list(row.ids)] for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()
