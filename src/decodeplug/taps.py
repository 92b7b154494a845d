"""What is seen inside a model, row by row, in forwards of ours: hidden states, and whatever inspectors look at."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

__all__ = ["HiddenTap", "Tap", "Taps"]


@runtime_checkable
class Tap(Protocol):
    """Sees something of every row of the forwards that are made while it is open (``with tap:``), and leaves nothing behind.

    It changes nothing. Equal taps (``==``) of several requests are opened once.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...

    def take(self, lanes: int) -> Tensor:
        """What was seen in the last forward, and forget it.

        :param lanes: How many lanes it had; rows of one lane are neighbours.
        :returns: ``[lanes, width, features]`` of a floating dtype, with the same features every time. Rows of padding
            may hold anything.
        """
        ...


class Taps:
    """The taps of one run of the loop. What they see of a row is kept side by side, in the widest of their dtypes."""

    def __init__(self) -> None:
        self._taps: list[Tap] = []
        self._kinds: list[tuple[int, torch.dtype]] = []

    def __bool__(self) -> bool:
        return bool(self._taps)

    def add(self, tap: Tap) -> None:
        """Open it with the others from now on, unless one that equals it is there."""
        if tap not in self._taps:
            self._taps.append(tap)

    @contextlib.contextmanager
    def opened(self) -> Generator[None, None, None]:
        """All of them are open in it."""
        with contextlib.ExitStack() as stack:
            for tap in self._taps:
                stack.enter_context(tap)
            yield

    def take(self, lanes: int) -> Tensor | None:
        """``[lanes, width, features of all]`` of the last forward; None if there are no taps."""
        if not self._taps:
            return None
        seen = [tap.take(lanes) for tap in self._taps]
        self._kinds = [(one.shape[-1], one.dtype) for one in seen]
        return seen[0] if len(seen) == 1 else torch.cat(_alike(seen), -1)

    def opened_for(self, tap: Tap) -> Tap:
        """The one that is opened for it: itself, or one that equals it."""
        return self._taps[self._taps.index(tap)]

    def of(self, tap: Tap, rows: Tensor) -> Tensor:
        """``[rows, its features]``: what one of them saw, of rows that were taken before, in its own dtype."""
        place = self._taps.index(tap)
        first = sum(size for size, _ in self._kinds[:place])
        size, dtype = self._kinds[place]
        return rows[..., first : first + size].to(dtype)


def _alike(seen: Sequence[Tensor]) -> list[Tensor]:
    """In the widest of their dtypes, on the device of the first."""
    dtype = seen[0].dtype
    for one in seen[1:]:
        dtype = torch.promote_types(dtype, one.dtype)
    return [one.to(seen[0].device, dtype, non_blocking=True) for one in seen]


class HiddenTap:
    """Sees what a model's output layer reads.

    :param module: The model. Nothing is left on it when the tap is closed.
    """

    def __init__(self, module: Any) -> None:
        self._decoder = module.get_decoder()
        self._handle: Any = None
        self._seen: Tensor | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HiddenTap) and other._decoder is self._decoder

    def __hash__(self) -> int:
        return id(self._decoder)

    def __enter__(self) -> HiddenTap:
        self._handle = self._decoder.register_forward_hook(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def take(self, lanes: int) -> Tensor:
        """``[lanes, width, hidden]``."""
        seen, self._seen = self._seen, None
        assert seen is not None, "the model has run without its decoder"
        return seen

    def _note(self, module: Any, inputs: Any, output: Any) -> None:
        self._seen = output[0]
