"""Masks for ragged lanes, made by the model's own mask functions.

transformers builds a mask from one query offset for the whole batch. In a
ragged forward every lane has its own. So the builders registered for "sdpa" and
"eager" are wrapped: inside a forward of ours (a context variable says so) the
model's own mask function (causal, sliding, chunked, with overlays) is evaluated
at the true position of each row; anywhere else the original runs as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, causal_mask_function

from decodeplug.errors import UnsupportedModel

__all__ = ["View", "install", "looking"]

MaskRule = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``rule(query, slot, prompt)`` -> which of the visible slots a row may really see."""


class View:
    """What the rows of the forward in progress may see.

    :ivar positions: ``[lanes, width]`` int64: the position of each row.
    :ivar length: How many slots the cache shows.
    :ivar aligned: All rows are real and all lanes equally long, so the plain
        causal mask needs no tensor where transformers would leave it out.
    :ivar prompts: For each lane, how many of its ids are its prompt.
    :ivar spans: For each lane, the position of its first row and how many rows are real.
    :ivar rule: A further restriction that this model needs.
    :ivar calls: Where modules put what they were given and made, for a cache that asks for it; None: nowhere.
    :ivar saw_bidirectional: Set when the model asks for a bidirectional mask.
    """

    __slots__ = (
        "_broad",
        "_made",
        "aligned",
        "calls",
        "length",
        "positions",
        "prompts",
        "rule",
        "saw_bidirectional",
        "spans",
    )

    def __init__(
        self,
        positions: Tensor,
        length: int,
        *,
        aligned: bool,
        prompts: list[int],
        spans: list[tuple[int, int]],
        rule: MaskRule | None,
        calls: dict[nn.Module, tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self.positions, self.length, self.aligned = positions, length, aligned
        self.prompts, self.spans, self.rule = prompts, spans, rule
        self.calls = calls
        self.saw_bidirectional = False
        self._broad: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        self._made: dict[Any, Tensor] = {}

    def is_plain(self, mask: Tensor | None) -> bool:
        """Does a mask let each row see its own slot and all before, and nothing else?"""
        return mask is None or any(mask is made for made in self._made.values())

    def matches(self, batch_size: int, q_length: int, kv_length: int) -> bool:
        return self.positions.shape == (batch_size, q_length) and kv_length == self.length

    def evaluate(self, mask_function: Callable[..., Tensor], bidirectional: bool, device: torch.device) -> Tensor:
        """``[lanes, 1, width, length]`` bool: True where a row may look."""
        batch, width = self.positions.shape
        if self._broad is None or self._broad[0].device != device:
            self._broad = (
                torch.arange(batch, device=device)[:, None, None, None],
                torch.zeros((1, 1, 1, 1), dtype=torch.int64, device=device),
                self.positions.to(device)[:, None, :, None],
                torch.arange(self.length, device=device)[None, None, None, :],
            )
        lane, head, query, slot = self._broad
        if mask_function is causal_mask_function and self.rule is None:
            mask = self._made.get(device)
            if mask is None:
                mask = self._made[device] = slot <= query
            return mask
        mask = mask_function(lane, head, query, slot)
        if bidirectional or self.rule is not None:
            prompt = torch.tensor(self.prompts).to(device, non_blocking=True)[:, None, None, None]
            if bidirectional:
                # What generate() does: the prompt sees all of itself, later rows see all before them.
                mask = mask & ((slot <= query) | ((slot < prompt) & (query < prompt)))
            if self.rule is not None:
                mask = mask & self.rule(query, slot, prompt)
        return mask.expand(batch, -1, width, self.length)


looking: ContextVar[View | None] = ContextVar("looking", default=None)
"""The view of our forward that runs in this thread or task, if any."""


def _wrapped(original: Callable[..., Tensor | None], additive: bool) -> Callable[..., Tensor | None]:
    @wraps(original)
    def lane_mask(batch_size: int, q_length: int, kv_length: int, *args: Any, **kwargs: Any) -> Tensor | None:
        view = looking.get()
        if view is None or args or not view.matches(batch_size, q_length, kv_length):
            causal = "allow_is_bidirectional_skip" not in kwargs  # others are for an encoder that is not there
            if causal and view is not None and len(view.spans) > 1 and not view.aligned:
                # The plain mask would be wrong for ragged lanes, and nobody would notice.
                raise UnsupportedModel(
                    type(kwargs.get("config")).__name__.removesuffix("Config"),
                    because=f"it asks for a mask of {q_length} x {kv_length} in a forward of {view.positions.shape[1]} x {view.length}",
                    instead="Decode its texts one at a time",
                )
            return original(batch_size, q_length, kv_length, *args, **kwargs)
        bidirectional = "allow_is_bidirectional_skip" in kwargs
        if bidirectional:
            view.saw_bidirectional = True
        if view.aligned and view.rule is None and not additive and _can_be_left_out(view, bidirectional, kwargs):
            return None
        device = torch.device(kwargs.get("device", "cpu"))
        mask = view.evaluate(kwargs.get("mask_function", causal_mask_function), bidirectional, device)
        if additive:
            dtype = kwargs.get("dtype", torch.float32)
            return torch.zeros((), dtype=dtype, device=mask.device).where(mask, torch.finfo(dtype).min)
        return mask

    marked: Any = lane_mask
    marked.decodeplug_original = original  # how install() knows that it has been here
    return marked


def _can_be_left_out(view: View, bidirectional: bool, kwargs: dict[str, Any]) -> bool:
    """May the mask be None, with attention's own ``is_causal`` doing the rest?"""
    local = kwargs.get("local_size")
    if local is not None and view.length >= local:
        return False
    if bidirectional:
        return bool(kwargs["allow_is_bidirectional_skip"]) and view.positions.shape[1] in (1, view.length)
    width = view.positions.shape[1]
    return bool(kwargs.get("allow_is_causal_skip", True)) and width in (1, view.length)


def install() -> None:
    """Wrap the registered builders of "sdpa" and "eager" masks, once."""
    for name in ("sdpa", "eager"):
        original = ALL_MASK_ATTENTION_FUNCTIONS[name]
        if not hasattr(original, "decodeplug_original"):
            ALL_MASK_ATTENTION_FUNCTIONS.register(name, _wrapped(original, additive=name == "eager"))
