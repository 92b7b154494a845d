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
from decodeplug.taps import HiddenTap, Taps

__all__ = ["MOST_BYTES", "Frozen", "Kept"]

MOST_BYTES = 4 << 30  # hidden states that are kept; more of them are computed again every time
_CHECKED = 8  # ids
_TIE = 0.02  # of the largest logit: what rounding in bfloat16 can make of a tie


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
        self._was_checked = False

    def check(self) -> None:
        """Say whether hidden states of the model are of use, before much is done with them.

        :raises UnsupportedModel: See :meth:`read`.
        """
        self.read([0] * _CHECKED)

    def read(self, ids: Sequence[int]) -> Tensor:
        """One forward.

        :returns: What the output layer reads, ``[ids, hidden]``, in the model's dtype.
        :raises UnsupportedModel: It cannot be seen: something lies between the layers and the output layer.
        """
        session, taps = self.target.session("none"), Taps()
        taps.add(HiddenTap(self.target.module))
        session.watch(taps)
        session.keep([-1], [0])
        logits = session.forward([list(ids)], [1])[-1]
        hidden = session.watched[0]
        right = hidden.shape == (len(ids), self.hidden_size)
        if right and not self._was_checked:
            right = float(logits.max() - logits[self.chosen(hidden[-1:])]) <= _TIE * float(logits.abs().max())
            self._was_checked = right
        if not right:
            because = "prediction heads need what its output layer reads, and that is not what its layers put out"
            raise UnsupportedModel(type(self.target.module).__name__, because=because)
        # Cloned outside of inference mode: tensors that were made in it cannot be learned from.
        return hidden.clone()

    @torch.no_grad()
    def chosen(self, hidden: Tensor) -> Tensor:
        """The ids that the model would choose after each position, ``[ids]`` int64, by the hidden states there."""
        weight = self._output.weight
        return self._output(hidden.to(weight.device, weight.dtype))[:, : self.target.vocab_size].argmax(-1)


class Kept:
    """What a frozen model says of some rows; what is not known of them is computed when it is first asked for, and kept in a
    file if it is not too much.

    A context manager: the file is gone behind it.

    :param folder: Where the file is made, under a name of its own.
    """

    def __init__(self, frozen: Frozen, rows: Sequence[Row], folder: Path) -> None:
        self.rows, self._frozen = rows, frozen
        self._ends = torch.tensor([0, *(len(row.ids) if row.hidden is None else 0 for row in rows)]).cumsum(0).tolist()
        self._read: set[int] = set()
        self._chosen: dict[int, Tensor] = {}
        self._hidden: Tensor | None = None
        shape, dtype = (self._ends[-1], frozen.hidden_size), frozen.target.dtype
        self._scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".hidden-", ignore_cleanup_errors=True)
        if 0 < math.prod(shape) * dtype.itemsize <= MOST_BYTES:
            file = str(Path(self._scratch.name) / "hidden")
            self._hidden = torch.from_file(file, shared=True, size=math.prod(shape), dtype=dtype).view(shape)

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hidden = None  # unmapped before the file is removed
        self._scratch.cleanup()

    def hidden(self, index: int) -> Tensor:
        """Hidden states ``[ids, hidden]`` of one row, on the CPU."""
        row = self.rows[index]
        if row.hidden is not None:
            return row.hidden
        if self._hidden is None:
            return self._frozen.read(row.ids).cpu()
        place = self._hidden[self._ends[index] : self._ends[index + 1]]
        if index not in self._read:
            place.copy_(self._frozen.read(row.ids))
            self._read.add(index)
        return place

    def chosen(self, index: int) -> Tensor:
        """What the model would choose after each id of one row, ``[ids]`` int64, on the CPU."""
        if index not in self._chosen:
            self._chosen[index] = self._frozen.chosen(self.hidden(index)).cpu()
        return self._chosen[index]
