"""Functions of the caller's that judge a path: asked for a number, and named when they fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from decodeplug.errors import PluginError
from decodeplug.jury import Path
from decodeplug.owners import owner_of

__all__ = ["ask", "number"]


def ask(function: Callable[[Any], Any], path: Path, call: str) -> Any:
    """What a function says of a path.

    :param call: What it was asked for: the name of the option.
    :raises PluginError: It failed; names it.
    """
    try:
        return function(path)
    except Exception as error:
        raise failed(function, call, error) from error


def number(function: Callable[[Any], Any], path: Path, call: str, *, least: float = -math.inf) -> float:
    """A function's number for a path.

    :raises PluginError: It failed, or gave something else than a number of at least ``least``.
    """
    given = ask(function, path, call)
    try:
        value = float(given)
    except (TypeError, ValueError) as error:
        raise failed(function, call, error) from error
    if not least <= value < math.inf:
        raise failed(function, call, ValueError(f"it gave {given!r}, where a number from {least} on was wanted"))
    return value


def failed(function: object, call: str, cause: BaseException) -> PluginError:
    """The error that names a function."""
    return PluginError(owner_of(function), getattr(function, "__name__", type(function).__name__), call, cause)
