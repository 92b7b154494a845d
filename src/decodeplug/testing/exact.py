"""Keeps a float64 model in float64, so that two ways to compute one thing can be compared to 1e-10."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Float64Throughout"]


class Float64Throughout(TorchFunctionMode):
    """While it is open, nothing rounds a float64 tensor to float32.

    Stock models do: their norms and their softmax compute in float32 whatever the weights are,
    and what a batch or a cache changes in the last bit of float64 becomes 1e-6 and more.
    Tensors of other dtypes, and new ones, are left alone.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func is Tensor.float:
                return args[0]
            args = tuple(torch.float64 if value is torch.float32 else value for value in args)
            kwargs = {name: torch.float64 if value is torch.float32 else value for name, value in kwargs.items()}
        return func(*args, **kwargs)
