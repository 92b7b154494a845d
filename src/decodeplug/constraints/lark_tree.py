"""Lark's tree of a finished text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from decodeplug.errors import InvalidResult

__all__ = ["tree_of"]


def tree_of(parser: Any, text: str) -> Any:
    """The tree that a ``Lark`` gives; of several, the one that its priorities choose.

    :raises InvalidResult: It does not parse the text.
    """
    from lark.exceptions import LarkError

    refusal = InvalidResult(text, because="Lark does not parse it")
    for part in _beginnings(parser, text):
        try:
            return parser.parse(part)
        except LarkError as error:
            line = next(line for line in [*str(error).splitlines(), type(error).__name__] if line.strip())
            refusal = InvalidResult(text, because=f"Lark does not parse it: {line}")
            if part == text:
                break
        except RuntimeError as error:
            # If the end of a text can be either ignored or something else, Lark 1.3 finds two roots and gives up.
            # Without what is ignored, the tree is the same, and at the shortest of these texts there is one root.
            refusal = InvalidResult(text, because=f"Lark cannot decide how it ends: {error}")
    raise refusal


def _beginnings(parser: Any, text: str) -> Iterator[str]:
    """The text, and then what is left if more and more of its end is ignored."""
    yield text
    ignored = [terminal.pattern.to_regexp() for terminal in parser.terminals if terminal.name in parser.ignore_tokens]
    end_is_ignored = re.compile(f"(?:{'|'.join(ignored)})+").fullmatch
    for end in range(len(text) - 1, -1, -1) if ignored else ():
        if end_is_ignored(text, end):
            yield text[:end]
