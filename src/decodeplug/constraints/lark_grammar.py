"""Load a grammar with Lark, and say what it means to the mask engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from decodeplug.constraints.compiled import Once
from decodeplug.constraints.grammar_text import Place, place_of, place_said
from decodeplug.constraints.lalr_lexing import check_lalr
from decodeplug.constraints.lark_rules import engine_grammar, terminal_nodes
from decodeplug.errors import UnsupportedGrammar
from decodeplug.grammar_library import FOLDER

__all__ = ["LoadedGrammar", "load_grammar"]

KIND = "lark grammar"
_FILE_IMPORT = re.compile(r"%import\s+(?!common\b)")


@dataclass(frozen=True, slots=True)
class LoadedGrammar:
    """A grammar that Lark has read.

    :ivar parser: Lark's parser, for the finished text.
    :ivar engine_text: The same grammar as the mask engine reads it.
    """

    parser: Any
    engine_text: str


_LOADED: Once[LoadedGrammar] = Once(64)


def load_grammar(text: str, start: str, parser: str, path: Path | None, import_paths: Sequence[str]) -> LoadedGrammar:
    """Load, check and translate a grammar; 10 to 100 ms, or nothing if it is known and imports no files.

    :param path: The file that ``text`` is from; relative imports are looked for beside it.
    :param import_paths: Folders in which imports are looked for, before the library.
    :raises UnsupportedGrammar: Lark cannot load it, or it cannot be enforced; with line and column.
    :raises Unsatisfiable: No text satisfies it.
    """

    def load() -> LoadedGrammar:
        loaded = _loaded(text, start, parser, path, import_paths)
        nodes = terminal_nodes(loaded.terminals, text)
        if parser == "lalr":
            check_lalr(loaded, nodes, text)
        engine_text = engine_grammar(loaded.rules, loaded.terminals, loaded.ignore_tokens, nodes, start, text)
        return LoadedGrammar(loaded, engine_text)

    if _FILE_IMPORT.search(text) and (path is None or path.parent != FOLDER):  # the files may be others the next time
        return load()
    return _LOADED.get((text, start, parser), load)


def _loaded(text: str, start: str, parser: str, path: Path | None, import_paths: Sequence[str]) -> Any:
    import lark as lark_library

    options: dict[str, Any] = {"start": start, "parser": parser, "import_paths": [*import_paths, str(FOLDER)]}
    if path is not None:
        options["source_path"] = str(path)
    try:
        return lark_library.Lark(text, **options)
    except lark_library.UnexpectedInput as error:
        place = error.line, error.column
        raise _refusal(f"Lark cannot read it: {_first_line(error)}", place) from None
    except (re.error, regex.error) as error:  # Lark asks the second one what it makes of what the first one refuses
        first: Any = error.__context__ if isinstance(error.__context__, re.error) else error
        place = place_of(text, f"/{first.pattern}")
        raise _refusal(f"Python cannot read a regular expression in it: {first.msg}", place) from None
    except OSError as error:
        place = place_of(text, Path(str(error.filename)).stem)
        raise _refusal(f"there is no grammar {error.filename} to import from", place) from None
    except (
        Exception
    ) as error:  # besides its own errors, Lark lets out whatever it stumbles over: assertions, KeyError ...
        raise _not_loaded(error, text, start) from None


def _not_loaded(error: Exception, text: str, start: str) -> UnsupportedGrammar:
    terminal: Any = error.args[1] if len(error.args) == 2 else None
    if hasattr(terminal, "pattern"):
        place = place_of(text, terminal.pattern.raw, terminal.name)
        return _refusal(f"terminal {terminal.name} can match the empty text", place)
    if f"NonTerminal({start!r})" in str(error):
        return _refusal(f"it has no rule {start!r} to start with", (None, None))
    return _refusal(f"Lark cannot load it: {_first_line(error)}", place_said(text, str(error)))


def _refusal(because: str, place: Place) -> UnsupportedGrammar:
    return UnsupportedGrammar(KIND, because=because, line=place[0], column=place[1])


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
