"""A terminal of Lark in the engine's dialect: exactly the texts that Lark's matcher takes for it."""

from __future__ import annotations

from decodeplug.constraints.first_match import begins_another, first_match
from decodeplug.constraints.terminal_automaton import TooLargeError
from decodeplug.constraints.terminal_syntax import Either, Node, NotRegularError, Sequence, engine_form, read_terminal

__all__ = ["UntranslatableError", "read", "translated_terminal"]

_ANYTHING = "/(?s:.)*/"
_MORE = "/(?s:.)+/"


class UntranslatableError(Exception):
    """The engine cannot be told exactly which texts the terminal takes; the message says why."""


def read(pattern: str) -> Node:
    """:raises UntranslatableError: It is not regular."""
    try:
        return read_terminal(pattern)
    except NotRegularError as error:
        raise UntranslatableError(str(error)) from None
    except RecursionError:
        raise UntranslatableError("it is nested too deeply") from None


def translated_terminal(node: Node) -> str:
    """An expression of terminals for the engine.

    A text may match in several ways and lengths. Python takes the first way that it finds; the engine goes on for
    as long as something matches. So the engine is given the texts of which Python takes the whole.

    :raises UntranslatableError: There is no way to say which these are.
    """
    try:
        return _translated(node)
    except TooLargeError:
        because = "which of its matches Python takes could not be found out with reasonable effort"
        raise UntranslatableError(because) from None


def _translated(node: Node) -> str:
    found = first_match(node)
    form = f"/{engine_form(node)}/"
    if found.longest:
        return form
    if found.shortest:
        return f"({form} & ~({form} {_MORE}))"
    options = _options(node)
    if len(options) < 2:
        because = (
            f"of {found.example!r}, which matches as a whole, Python takes only a part (a lazy or an earlier way to match): "
            "write it so that the longest match comes first"
        )
        raise UntranslatableError(because)
    parts: list[str] = []
    for index, option in enumerate(options):
        earlier = Either(options[:index])
        part = _translated(option)
        overlaps = index > 0 and begins_another(earlier, option) is not None
        parts.append(f"({part} & ~(/{engine_form(earlier)}/ {_ANYTHING}))" if overlaps else part)
    return f"({' | '.join(parts)})"


def _options(node: Node) -> tuple[Node, ...]:
    """The options of an expression that is a choice, maybe after characters that all have in common."""
    if isinstance(node, Either):
        return node.options
    if isinstance(node, Sequence) and node.items and isinstance(node.items[-1], Either | Sequence):
        begin = node.items[:-1]
        if all(isinstance(item, tuple) for item in begin):
            return tuple(Sequence((*begin, option)) for option in _options(node.items[-1]))
    return ()
