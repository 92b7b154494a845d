"""What the frozen model says of rows of text: its hidden states, and what it would choose."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from decodeplug.errors import UnsupportedModel
from decodeplug.heads.texts import Row
from decodeplug.identity import layers_of

__all__ = ["Frozen", "Kept"]

_MOST_BYTES = 4 << 30  # hidden states that are kept; more of them are computed again every time


class Frozen:
    """Reads rows with a model that nothing is learned in.

    Every row is read alone, from its first id, as the ``none`` cache does: no padding, so every family works, and
    what is read of a row does not depend on the others.

    :param target: A ``decodeplug.target.Target``.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        _, self._output = layers_of(target.module)
        self.hidden_size: int = self._output.weight.shape[1]

    def read(self, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """One forward.

        :returns: What the output layer is given, ``[ids, hidden]``, in the model's dtype, and the ids that the model
            would choose after each, ``[ids]`` int64.
        :raises UnsupportedModel: Its output layer is not given all positions.
        """
        seen: list[Tensor] = []
        handle = self._output.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            session = self.target.session("none")
            session.keep([-1], [0])
            best = session.forward([list(ids)], [len(ids)]).argmax(-1)
        finally:
            handle.remove()
        hidden = seen[-1].reshape(-1, seen[-1].shape[-1]) if seen else torch.empty(0, self.hidden_size)
        if len(hidden) < len(ids):
            because = "prediction heads need the hidden states of all positions, and its output layer is not given them"
            raise UnsupportedModel(type(self.target.module).__name__, because=because)
        # Cloned outside of inference mode: tensors that were made in it cannot be learned from.
        return hidden[-len(ids) :].clone(), best.clone()


class Kept:
    """What a frozen model says of some rows; computed when it is first asked for, and kept in a file if it is not too much.

    A context manager: the file is gone behind it.

    :param folder: Where the file is made, under a name of its own.
    """

    def __init__(self, frozen: Frozen, rows: Sequence[Row], folder: Path) -> None:
        self.rows, self._frozen = rows, frozen
        self._ends = torch.tensor([0, *(len(row.ids) for row in rows)]).cumsum(0).tolist()
        self._best: dict[int, Tensor] = {}
        self._hidden: Tensor | None = None
        shape, dtype = (self._ends[-1], frozen.hidden_size), frozen.target.dtype
        self._scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".hidden-", ignore_cleanup_errors=True)
        if math.prod(shape) * dtype.itemsize <= _MOST_BYTES:
            file = str(Path(self._scratch.name) / "hidden")
            self._hidden = torch.from_file(file, shared=True, size=math.prod(shape), dtype=dtype).view(shape)

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hidden = None  # unmapped before the file is removed
        self._scratch.cleanup()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Hidden states ``[ids, hidden]`` and chosen ids ``[ids]`` of one row, on the CPU."""
        if self._hidden is None:
            hidden, best = self._frozen.read(self.rows[index].ids)
            return hidden.cpu(), best.cpu()
        place = self._hidden[self._ends[index] : self._ends[index + 1]]
        if index not in self._best:
            hidden, best = self._frozen.read(self.rows[index].ids)
            place.copy_(hidden)
            self._best[index] = best.cpu()
        return place, self._best[index]
