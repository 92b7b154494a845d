"""Multi-head latent attention whose history is never expanded.

Models of this kind keep one latent vector for each id, from which the keys and values of all heads are computed by one
matrix; transformers does so for the whole history at every step. The matrix can be applied to the query and to the output
instead, whose rows are few ("absorption").

Source: DeepSeek-V2, arXiv:2405.04434, section 2.1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.caches.absorbed import attend_absorbed
from decodeplug.caches.lazy import LazyRows, source_of
from decodeplug.target.masks import looking
from decodeplug.target.modelstate import is_replaced

__all__ = ["Latents", "install"]


class Latents:
    """The history of one layer. See :class:`decodeplug.caches.lazy.Source`.

    :param module: The attention: its ``kv_b_proj`` makes keys and values of a latent.
    :param latents: ``[lanes, 1, length, rank]``. :param rotated: The part of the keys that has positions and is the same for
        all heads, ``[lanes, 1, length, dim]``.
    :param expand: What the module does otherwise.
    """

    def __init__(
        self, module: Any, latents: Tensor, rotated: Tensor, expand: Callable[..., tuple[Tensor, Tensor]]
    ) -> None:
        self.module, self.latents, self.rotated, self._expand = module, latents, rotated, expand

    @cached_property
    def expanded(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all heads, ``[lanes, heads, length, dim]`` each."""
        return self._expand(self.module, self.latents, self.rotated)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Keys and values that are expanded only if somebody reads them."""
        lanes, _, length, _ = self.latents.shape
        heads, nope, rope, value = _shape(self.module)
        return (
            LazyRows(self, (lanes, heads, length, nope + rope), self.latents, lambda: self.expanded[0]),
            LazyRows(self, (lanes, heads, length, value), self.latents, lambda: self.expanded[1]),
        )

    def can_attend(self, query: Tensor, mask: Tensor | None) -> bool:
        return mask is None or mask.dtype == torch.bool

    def attend(self, query: Tensor, mask: Tensor | None, scale: float, *, plain: bool) -> Tensor:
        heads, nope, rope, value = _shape(self.module)
        weight = self.module.kv_b_proj.weight.view(heads, nope + value, -1)
        still, turned = query.split([nope, rope], dim=-1)
        absorbed = still @ weight[:, :nope]
        source: Any = source_of(self.latents, self.rotated)
        if source is not None and source.can_attend(query, mask):
            seen = source.attend_latents((absorbed, turned), mask, scale, plain=plain).transpose(1, 2)
        else:
            further = turned, self.rotated.squeeze(1)
            seen = attend_absorbed(absorbed, self.latents.squeeze(1), mask, scale, further)
        return (seen @ weight[:, nope:].transpose(1, 2)).transpose(1, 2).contiguous()


def _shape(module: Any) -> tuple[int, int, int, int]:
    """Heads, and the dims of a key without and with positions and of a value."""
    nope, value = module.qk_nope_head_dim, module.v_head_dim
    return module.kv_b_proj.weight.shape[0] // (nope + value), nope, module.qk_rope_head_dim, value


def _pays(module: Any, width: int, length: int, rank: int) -> bool:
    """Does absorption take fewer operations? It does up to a width that follows from the shapes."""
    _, nope, rope, value = _shape(module)
    matrix = rank * (nope + value)
    return width * (matrix + length * (2 * rank + rope)) < length * (matrix + width * (nope + rope + value))


def _is_plain(module: Any, latents: Tensor) -> bool:
    """Is the expansion the product with a weight, and nothing else: no adapter, no hook, no weight that is elsewhere?"""
    part = getattr(module, "kv_b_proj", None)
    if type(part) is not nn.Linear or part.bias is not None:
        return False
    watched = part._forward_hooks or part._forward_pre_hooks or is_replaced(part)
    return not watched and part.weight.dtype == latents.dtype and part.weight.device == latents.device


def _wrapped(expand: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    @wraps(expand)
    def expand_later(module: Any, latents: Tensor, rotated: Tensor) -> tuple[Tensor, Tensor]:
        view = looking.get()
        if view is None or module.config._attn_implementation != "sdpa" or not _is_plain(module, latents):
            return expand(module, latents, rotated)
        if not _pays(module, view.positions.shape[1], latents.shape[2], latents.shape[3]):
            return expand(module, latents, rotated)
        return Latents(module, latents, rotated, expand).rows()

    marked: Any = expand_later
    marked.decodeplug_original = expand  # how install() knows that it has been here
    return marked


def install(model: nn.Module) -> None:
    """Wrap ``expand_kv`` of the attention classes of a model, once; it does nothing outside a forward of ours."""
    kinds: set[Any] = {type(part) for part in model.modules()}
    for kind in kinds:
        expand: Any = vars(kind).get("expand_kv")
        if expand is not None and not hasattr(expand, "decodeplug_original"):
            kind.expand_kv = _wrapped(expand)
