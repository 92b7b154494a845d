"""Can Lark's LALR parser be trusted to split a text into the terminals that the masks meant?

With ``parser="lalr"``, Lark takes the first terminal of a list that matches, whatever comes after it, and settles
conflicts between rules by shifting. So it may refuse a text that the rules derive.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from decodeplug.constraints.first_match import begins_another
from decodeplug.constraints.grammar_text import place_of
from decodeplug.constraints.terminal_automaton import TooLargeError
from decodeplug.constraints.terminal_syntax import Node
from decodeplug.errors import UnsupportedGrammar

__all__ = ["check_lalr"]

KIND = "lark grammar"
_INSTEAD = "Use parser='earley'"


def check_lalr(loaded: Any, nodes: Mapping[str, Node], text: str) -> None:
    """Check that whatever the rules derive is split and parsed as derived.

    :param loaded: A ``Lark`` with ``parser="lalr"``. :param nodes: Terminals by name. :param text: For places.
    :raises UnsupportedGrammar: A conflict between rules, or two terminals of which one can be, or begin, the other
        where both may stand.
    """
    _check_conflicts(loaded, text)
    states = loaded.parser.parser._parse_table.states
    expected = {frozenset(name for name in actions if name in nodes) for actions in states.values()}
    pairs: set[tuple[str, str]] = set()
    for names in expected:
        pairs.update(combinations(sorted({*names, *loaded.ignore_tokens}), 2))
    for one, other in sorted(pairs):
        example = _confused(nodes[one], nodes[other])
        if example is not None:
            line, column = place_of(text, one, _raw(loaded, one), other, _raw(loaded, other))
            because = (
                f"terminals {_said(loaded, one)} and {_said(loaded, other)} can both begin with {example!r}, and Lark's lexer for LALR "
                f"takes one of them without regard to what follows. {_INSTEAD}"
            )
            raise UnsupportedGrammar(KIND, because=because, line=line, column=column)


def _check_conflicts(loaded: Any, text: str) -> None:
    from lark.exceptions import GrammarError
    from lark.parsers.lalr_analysis import LALR_Analyzer

    try:
        LALR_Analyzer(loaded.parser.parser_conf, strict=True).compute_lalr()
    except GrammarError as error:
        message = str(error)
        line, column = place_of(
            text, *(rule.origin.name for rule in loaded.rules if f"<{rule.origin.name} " in message)
        )
        because = f"Lark would settle a conflict by leaving out texts: {message.splitlines()[0]} {_INSTEAD}"
        raise UnsupportedGrammar(KIND, because=because, line=line, column=column) from None


def _confused(one: Node, other: Node) -> str | None:
    try:
        found = begins_another(one, other)
        return begins_another(other, one) if found is None else found
    except TooLargeError:
        return "the same text"


def _terminal(loaded: Any, name: str) -> Any:
    return next(terminal for terminal in loaded.terminals if terminal.name == name)


def _raw(loaded: Any, name: str) -> str | None:
    return _terminal(loaded, name).pattern.raw


def _said(loaded: Any, name: str) -> str:
    return name if not name.startswith("__") else _raw(loaded, name) or name
