"""Which distribution a part comes from: an error names it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import packages_distributions
from types import FunctionType

__all__ = ["owner_of"]


def owner_of(part: object) -> str:
    """The distribution that a part's class, or a function, comes from; its module where it comes from none.

    A part of ours that only guards another one says so with ``guarded``.
    """
    part = getattr(part, "guarded", part)
    module = (part if isinstance(part, type | FunctionType) else type(part)).__module__
    names = _distributions().get(module.partition(".")[0])
    return names[0] if names else module


@cache
def _distributions() -> dict[str, list[str]]:
    return {package: list(names) for package, names in packages_distributions().items()}
