"""The library of grammars that is shipped: ``lark("sql_select")`` and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from decodeplug.errors import UnknownPart

__all__ = ["FOLDER", "LibraryGrammar", "factory", "find_grammar", "library", "summary_of"]

FOLDER = Path(__file__).parent / "grammars"


@dataclass(frozen=True, slots=True)
class LibraryGrammar:
    """A grammar of the library.

    :ivar name: As in ``lark(name)``. :ivar path: Its file.
    """

    name: str
    path: Path

    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def summary(self) -> str:
        """The first comment in it, without the slashes."""
        return summary_of(self.text())


def library() -> list[LibraryGrammar]:
    """All grammars of the library, sorted by name."""
    return [LibraryGrammar(path.stem, path) for path in sorted(FOLDER.glob("*.lark"))]


def find_grammar(name: str) -> LibraryGrammar:
    """The grammar of that name; dashes count as underscores.

    :raises UnknownPart: There is none; says the nearest names.
    """
    known = {grammar.name: grammar for grammar in library()}
    found = known.get(name.replace("-", "_"))
    if found is None:
        raise UnknownPart("grammar", name, known)
    return found


def summary_of(text: str) -> str:
    """The first comment line of a grammar, without the slashes; empty if there is none."""
    return next((line[2:].strip() for line in text.splitlines() if line.startswith("//")), "")


def factory(grammar: LibraryGrammar) -> Callable[[], str]:
    """What a registry wants for a grammar: a function that returns its text, and says in its docstring what it is."""

    def text() -> str:
        return grammar.text()

    text.__doc__ = grammar.summary()
    return text
