"""Load a grammar with Lark, and say what it means to the mask engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decodeplug.constraints.grammar_text import place_of, place_said
from decodeplug.constraints.lalr_lexing import check_lalr
from decodeplug.constraints.lark_rules import engine_grammar, terminal_nodes
from decodeplug.errors import UnsupportedGrammar

__all__ = ["LoadedGrammar", "load_grammar"]

KIND = "lark grammar"


@dataclass(frozen=True, slots=True)
class LoadedGrammar:
    """A grammar that Lark has read.

    :ivar parser: Lark's parser, for the finished text.
    :ivar engine_text: The same grammar as the mask engine reads it.
    """

    parser: Any
    engine_text: str


def load_grammar(text: str, start: str, parser: str, path: Path | None, import_paths: Sequence[str]) -> LoadedGrammar:
    """Load, check and translate a grammar.

    :param path: The file that ``text`` is from; relative imports are looked for beside it.
    :raises UnsupportedGrammar: Lark cannot load it, or it cannot be enforced; with line and column.
    :raises Unsatisfiable: No text satisfies it.
    """
    loaded = _loaded(text, start, parser, path, import_paths)
    nodes = terminal_nodes(loaded.terminals, text)
    if parser == "lalr":
        check_lalr(loaded, nodes, text)
    engine_text = engine_grammar(loaded.rules, loaded.terminals, loaded.ignore_tokens, nodes, start, text)
    return LoadedGrammar(loaded, engine_text)


def _loaded(text: str, start: str, parser: str, path: Path | None, import_paths: Sequence[str]) -> Any:
    import lark as lark_library

    options: dict[str, Any] = {"start": start, "parser": parser, "import_paths": list(import_paths)}
    if path is not None:
        options["source_path"] = str(path)
    try:
        return lark_library.Lark(text, **options)
    except lark_library.UnexpectedInput as error:
        line, column = error.line, error.column
        because = f"Lark cannot read it: {_first_line(error)}"
        raise UnsupportedGrammar(KIND, because=because, line=line, column=column) from None
    except Exception as error:  # besides its own errors, Lark lets out whatever it stumbles over: assertions, KeyError ...
        line, column = place_said(text, str(error))
        if line is None and start not in str(error):
            line, column = place_of(text, str(error).strip("'"))
        because = f"Lark cannot load it: {_first_line(error)}"
        raise UnsupportedGrammar(KIND, because=because, line=line, column=column) from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
