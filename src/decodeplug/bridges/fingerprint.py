"""Has an object changed? A cheap look at its attributes, without a copy of its tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["fingerprint"]


def fingerprint(value: Any, depth: int = 8) -> Any:
    """Something that compares unequal after ``value`` was changed.

    Numbers, text and containers are compared by what they hold, tensors by
    identity and by torch's count of writes in place, everything else by its
    attributes (a function by what it encloses), ``depth`` steps deep. What compiled code hides is not seen.
    """
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, Tensor):
        # Tensors made in inference mode do not count writes.
        return id(value), value.double().sum().item() if value.is_inference() else value._version
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, torch.nn.Module) or depth == 0:
        return id(value)
    if isinstance(value, Mapping):
        return [(fingerprint(key, depth - 1), fingerprint(held, depth - 1)) for key, held in value.items()]
    if isinstance(value, (list, tuple, deque)):
        return [fingerprint(held, depth - 1) for held in value]
    if isinstance(value, (set, frozenset)):
        return id(value), len(value)
    inside = [getattr(value, name, None) for name in ("__dict__", "__self__", "__closure__", "cell_contents")]
    return id(value), fingerprint(inside, depth - 1)
