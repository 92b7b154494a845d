"""Two corrections inside a model, active only in a forward of ours.

Some decoders count positions from the length of the cache, one for the whole
batch; and frequencies of dynamic RoPE follow the longest position of the batch.
Hooks on the modules concerned give each lane its own. They do nothing outside
our forwards and go away with the target.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.target.masks import View, looking

__all__ = ["attach", "follows_longest"]


def attach(module: Any, takes_positions: bool) -> list[Any]:
    """Attach the hooks that this model needs; returns their handles."""
    handles: list[Any] = []
    for part in module.modules():
        if not takes_positions and _counts_positions(part):
            handles.append(part.register_forward_pre_hook(_give_positions, with_kwargs=True))
            handles.append(part.register_forward_hook(_drop_extra_dimension))
        if _follows(part):
            handles.append(part.register_forward_hook(_rotate_each_lane, with_kwargs=True))
    return handles


def _counts_positions(part: nn.Module) -> bool:
    return "Positional" in type(part).__name__ and "position_ids" in inspect.signature(part.forward).parameters


def _give_positions(
    part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]] | None:
    view = looking.get()
    if view is None or not args:
        return None
    # The argument may have come by place.
    names = list(inspect.signature(part.forward).parameters)
    return args[: names.index("position_ids")], {**kwargs, "position_ids": view.positions}


def _drop_extra_dimension(part: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
    return output.squeeze(0) if looking.get() is not None and output.dim() == 4 else None


def follows_longest(module: nn.Module) -> bool:
    """Do rotary frequencies of a model follow the length of its text?"""
    return any(_follows(part) for part in module.modules())


def _follows(part: nn.Module) -> bool:
    kind = getattr(part, "rope_type", None)
    kinds = kind.values() if isinstance(kind, dict) else [kind]
    return any(isinstance(one, str) and (one == "longrope" or "dynamic" in one) for one in kinds)


def _rotate_each_lane(part: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """What the module gives for each lane alone: its prompt in one call, later positions one by one."""
    view = looking.get()
    if view is None:
        return None
    hidden, rest = args[0], {name: value for name, value in kwargs.items() if name != "position_ids"}
    if len(args) > 2:
        rest["layer_type"] = args[2]
    lanes = [_rotate_one(part, hidden, view, lane, rest) for lane in range(len(view.spans))]
    _reset(part)
    return tuple(torch.stack([lane[which] for lane in lanes]) for which in range(2))


def _rotate_one(part: Any, hidden: Tensor, view: View, lane: int, rest: dict[str, Any]) -> tuple[Tensor, Tensor]:
    start, count = view.spans[lane]
    width, prompt = view.positions.shape[1], max(view.prompts[lane] - start, 0)
    cuts = [slice(0, min(prompt, count))] if prompt else []
    cuts += [slice(row, row + 1) for row in range(min(prompt, count), count)]
    cuts += [slice(max(count, 0), width)] if count < width else []
    pieces = []
    for cut in cuts:
        _reset(part)
        pieces.append(part.forward(hidden[lane : lane + 1], view.positions[lane : lane + 1, cut], **rest))
    cos, sin = (torch.cat([piece[which] for piece in pieces], dim=1)[0] for which in range(2))
    return cos, sin


def _reset(part: Any) -> None:
    """Forget the longest sequence seen, and leave the module as it was built."""
    names = [name for name, _ in part.named_buffers(recurse=False)] + list(vars(part))
    for name in names:
        if name.endswith("original_inv_freq"):
            with torch.inference_mode(False):  # the module outlives us, and may be trained
                setattr(part, name.replace("original_inv_freq", "inv_freq"), getattr(part, name).clone())
        elif name.endswith("max_seq_len_cached"):
            setattr(part, name, part.original_max_seq_len)
