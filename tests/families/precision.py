"""Keeps a float64 model in float64 where its own code goes down to float32.

Many models compute their softmax, norms or rotary angles in float32 whatever the
weights are. Two correct ways to feed such a model then differ by 1e-6, and a
wrong one that differs by 1e-5 would pass. Under this mode both stay in float64,
and the tolerance can be 1e-10 for all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["StaysInFloat64"]


class StaysInFloat64(TorchFunctionMode):
    """Turns every request for float32 into one for float64."""

    def __enter__(self) -> StaysInFloat64:
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        torch.set_default_dtype(self._default)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.float:
            return args[0].to(torch.float64)
        if kwargs.get("dtype") is torch.float32:
            kwargs["dtype"] = torch.float64
        args = tuple(torch.float64 if arg is torch.float32 else arg for arg in args)
        return func(*args, **kwargs)
