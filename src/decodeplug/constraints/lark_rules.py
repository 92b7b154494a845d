"""Rules and terminals that Lark has loaded, as a grammar for the mask engine.

Lark has resolved imports, templates, repetitions, optional parts, ``%extend`` and terminals made of others by then.
What is left is flat: alternatives that are sequences of symbols, and one regular expression for each terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decodeplug.constraints.endless import may_force_for_ever
from decodeplug.constraints.grammar_text import place_of
from decodeplug.constraints.lark_terminals import UntranslatableError, read, translated_terminal
from decodeplug.constraints.terminal_syntax import Node
from decodeplug.errors import Unsatisfiable, UnsupportedGrammar

__all__ = ["engine_grammar", "terminal_nodes"]

KIND = "lark grammar"
_NO_FORCING = '%llguidance {"no_forcing": true}'


def terminal_nodes(terminals: Sequence[Any], text: str) -> dict[str, Node]:
    """Each terminal's expression, by its name.

    :param terminals: Lark's ``TerminalDef``. :param text: The grammar's text, for places.
    :raises UnsupportedGrammar: One is declared only, or not regular; with line and column.
    """
    nodes: dict[str, Node] = {}
    for terminal in terminals:
        try:
            nodes[terminal.name] = read(terminal.pattern.to_regexp())
        except UntranslatableError as error:
            raise _refused(terminal, text, error) from None
    return nodes


def engine_grammar(
    rules: Sequence[Any],
    terminals: Sequence[Any],
    ignored: Sequence[str],
    nodes: Mapping[str, Node],
    start: str,
    text: str,
) -> str:
    """The grammar in the engine's dialect.

    :param rules: Lark's compiled ``Rule``. :param ignored: Names of terminals that may stand anywhere.
    :raises UnsupportedGrammar: A terminal cannot be translated; with line and column.
    :raises Unsatisfiable: No text can be derived from ``start``.
    """
    defined = {terminal.name: terminal for terminal in terminals}
    for name in sorted({symbol.name for rule in rules for symbol in rule.expansion if symbol.is_term} - {*defined}):
        line, column = place_of(text, name)
        because = f"terminal {name} is declared and not defined, so nothing says which texts it takes"
        raise UnsupportedGrammar(KIND, because=because, line=line, column=column)
    kept = _productive(rules)
    if not any(rule.origin.name == start for rule in kept):
        raise Unsatisfiable(KIND, because=f"rule {start!r} never comes to an end")
    names = {name: f"r{index}" for index, name in enumerate(dict.fromkeys(rule.origin.name for rule in kept))}
    # What is ignored is written into the rules. The engine's own %ignore works between terminals only, not before the
    # first and after the last, and a text that could be ignored can be nothing else there.
    around = " around" if ignored else ""
    names |= {name: f"T{index}" for index, name in enumerate(defined)}
    alternatives: dict[str, list[str]] = {}
    for rule in kept:
        symbols = " ".join(names[s.name] + (around if s.is_term else "") for s in rule.expansion)
        alternatives.setdefault(names[rule.origin.name], []).append(symbols or '""')
    used = {symbol.name for rule in kept for symbol in rule.expansion if symbol.is_term} | {*ignored}
    lines = [_NO_FORCING] if may_force_for_ever(kept, ignored, nodes) else []
    lines += [f"start:{around} {names[start]}"]
    lines += [f'around: "" | around ({" | ".join(names[name] for name in ignored)})'] if ignored else []
    lines += [f"{name}: {' | '.join(dict.fromkeys(options))}" for name, options in alternatives.items()]
    for name in sorted(used, key=list(defined).index):
        try:
            lines.append(f"{names[name]}: {translated_terminal(nodes[name])}")
        except UntranslatableError as error:
            raise _refused(defined[name], text, error) from None
    return "\n".join(lines) + "\n"


def _productive(rules: Sequence[Any]) -> list[Any]:
    """The rules from which a text can be derived; the others only lead to where nothing can follow."""
    productive: set[str] = set()
    while True:
        kept = [rule for rule in rules if all(s.is_term or s.name in productive for s in rule.expansion)]
        names = {rule.origin.name for rule in kept}
        if names == productive:
            return kept
        productive = names


def _refused(terminal: Any, text: str, error: Exception) -> UnsupportedGrammar:
    pattern = terminal.pattern
    line, column = place_of(text, pattern.raw, terminal.name)
    return UnsupportedGrammar(KIND, because=f"terminal {terminal.name}: {error}", line=line, column=column)
