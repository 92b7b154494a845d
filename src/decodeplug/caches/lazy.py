"""Keys or values that are put together only if somebody reads them as a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

__all__ = ["LazyRows", "Source", "forget_rows", "source_of"]


class Source(Protocol):
    """What keys and values are made of."""

    def can_attend(self, query: Tensor, mask: Tensor | None) -> bool:
        """Is ``attend`` right, and not slower, for this query and mask?"""
        ...

    def attend(self, query: Tensor, mask: Tensor | None, scale: float, *, plain: bool) -> Tensor:
        """Attention without the keys and values as tensors.

        :param query: ``[lanes, heads, width, head_dim]``; not modified.
        :param mask: Bool, True where a row may look, ``[lanes, 1, width, length]``; None: each row sees its own slot and all
            before. ``plain``: the same is true of the mask that is given.
        :returns: ``[lanes, width, heads, value_dim]``.
        """
        ...


class LazyRows(Tensor):
    """``[lanes, heads, length, dim]``, without memory of its own.

    Attention that knows it asks its source. Whatever else is done with it is done with a tensor that is made then, so a
    model that does something of its own with its keys has them right.

    :ivar source: What it is made of.
    """

    source: Source
    _make: Callable[[], Tensor]
    _whole: Tensor | None

    @staticmethod
    def __new__(
        cls,
        source: Source,
        shape: Sequence[int],
        like: Tensor,
        make: Callable[[], Tensor],
    ) -> LazyRows:
        made = torch.Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=like.dtype, device=like.device)
        made.source, made._make, made._whole = source, make, None
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def whole(self) -> Tensor:
        """The rows as a tensor like any other."""
        if self._whole is None:
            self._whole = self._make()
        return self._whole

    def __repr__(self, **kwargs: Any) -> str:  # pyright: ignore
        return f"LazyRows({list(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map_only(LazyRows, LazyRows.whole, (args, kwargs or {}))
        return func(*args, **kwargs)


def forget_rows(layers: Iterable[Any]) -> None:
    """Let go of keys and values that take memory of their own, and are no view of what the cache holds.

    A model may look at its layers between two forwards, and needs no more than shapes then.

    :param layers: Their ``keys`` and ``values`` are replaced by tensors without memory.
    """
    for layer in layers:
        for name in ("keys", "values"):
            rows = getattr(layer, name, None)
            if isinstance(rows, Tensor) and rows.device.type != "meta" and not _is_unmade(rows):
                setattr(layer, name, torch.empty(rows.shape, dtype=rows.dtype, device="meta"))


def _is_unmade(rows: Tensor) -> bool:
    return isinstance(rows, LazyRows) and rows._whole is None


def source_of(key: Tensor, value: Tensor) -> Source | None:
    """What both are made of; None if they are tensors like any other, or not of one source."""
    if isinstance(key, LazyRows) and isinstance(value, LazyRows) and key.source is value.source:
        return key.source
    return None
