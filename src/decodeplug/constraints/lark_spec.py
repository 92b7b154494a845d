"""A constraint by a grammar in Lark's language."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from llguidance import LLMatcher

from decodeplug.constraints.compiled import compile_grammar, first_line
from decodeplug.constraints.lark_grammar import LoadedGrammar, load_grammar
from decodeplug.constraints.lark_tree import tree_of
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption, UnknownPart, UnsupportedGrammar
from decodeplug.grammar_library import find_grammar

__all__ = ["LarkGrammar", "NamedGrammar", "lark"]

_NAME = re.compile(r"[A-Za-z][\w-]*")
_PARSERS = ("earley", "lalr")


@dataclass(frozen=True, slots=True)
class LarkGrammar:
    """Texts that Lark parses with a grammar.

    The masks allow no text that Lark refuses. They read terminals longest first: where a terminal, or another one that
    may stand in its place, could go on, it goes on.

    :param text: The grammar. :param start: The rule to begin with. :param parser: Lark's parser for the finished
        text, "earley" or "lalr". :param path: The file that ``text`` is from, for relative imports.
    :param import_paths: Folders in which ``%import`` looks for other files, before the library.
    :raises UnsupportedGrammar: Lark cannot load it, or it cannot be enforced; with line and column where known.
    :raises Unsatisfiable: No text satisfies it.
    """

    text: str
    start: str = "start"
    parser: str = "earley"
    path: Path | None = None
    import_paths: tuple[str, ...] = ()
    _loaded: LoadedGrammar = field(init=False, repr=False, compare=False)
    kind: ClassVar[str] = "lark"

    def __post_init__(self) -> None:
        _check_options(self.start, self.parser)
        loaded = load_grammar(self.text, self.start, self.parser, self.path, self.import_paths)
        object.__setattr__(self, "_loaded", loaded)

    def key(self) -> Hashable:
        return self._loaded.engine_text

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        """Compile for a vocabulary; a copy of the cached compilation where there is one.

        :raises UnsupportedGrammar: The grammar is too large for the engine, or explodes.
        :raises Unsatisfiable: The vocabulary can spell no text of it.
        """
        return compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=lambda: LLMatcher.grammar_from_lark(self._loaded.engine_text),
            refusal=lambda message: UnsupportedGrammar(self.kind, because=first_line(message)),
            probe=True,
        )

    def value(self, text: str) -> Any:
        """Lark's tree of the text; of several, the one that its priorities choose.

        A start rule that is a lone terminal and inlined (``?start``) gives a ``Token``.

        :raises InvalidResult: Lark does not parse it.
        """
        return tree_of(self._loaded.parser, text)


@dataclass(frozen=True, slots=True)
class NamedGrammar:
    """A grammar that is known by a name which the library does not have: a plugin of the host may.

    :raises UnknownPart: By all methods but :meth:`found`.
    """

    name: str
    start: str = "start"
    parser: str = "earley"
    import_paths: tuple[str, ...] = ()
    kind: ClassVar[str] = "lark"

    def __post_init__(self) -> None:
        _check_options(self.start, self.parser)

    def found(self, text_of: Callable[[str], str]) -> LarkGrammar:
        """The grammar itself.

        :param text_of: Gives the text of the grammar of a name, as ``Registry.build("grammar", name)`` does.
        """
        return LarkGrammar(text_of(self.name), self.start, self.parser, None, self.import_paths)

    def key(self) -> Hashable:
        return self._unknown()

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        return self._unknown()

    def value(self, text: str) -> Any:
        return self._unknown()

    def _unknown(self) -> Any:
        return find_grammar(self.name)


def lark(
    source: str | Path, *, start: str = "start", parser: str = "earley", import_paths: Sequence[str] = ()
) -> LarkGrammar | NamedGrammar:
    """Constrain the text to a grammar; ``r.value`` (and ``r.tree``) is Lark's tree. See :class:`LarkGrammar`.

    :param source: The text of a grammar, the path of a ``.lark`` file, or a name: of the library (``"sql_select"``),
        or of a grammar that a plugin of the host offers.
    :raises BadOption: There is no such file, or an option has a wrong value.
    """
    paths = (import_paths,) if isinstance(import_paths, str) else tuple(map(str, import_paths))
    if isinstance(source, str) and _NAME.fullmatch(source):
        try:
            known = find_grammar(source)
        except UnknownPart:
            return NamedGrammar(source, start, parser, paths)
        return LarkGrammar(known.text(), start, parser, known.path, paths)
    if isinstance(source, Path) or (isinstance(source, str) and source.endswith(".lark") and "\n" not in source):
        return LarkGrammar(_read(Path(source)), start, parser, Path(source), paths)
    if not isinstance(source, str) or not source.strip():
        raise BadOption("lark", source=source, wanted="the text of a grammar, a path to a .lark file, or a name")
    return LarkGrammar(source, start, parser, None, paths)


def _check_options(start: Any, parser: Any) -> None:
    if not isinstance(start, str) or not start:
        raise BadOption("lark", start=start, wanted="the name of a rule")
    if parser not in _PARSERS:
        raise BadOption("lark", parser=parser, wanted=f"one of {', '.join(_PARSERS)}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadOption("lark", path=str(path), wanted=f"a file that can be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadOption("lark", path=str(path), wanted=f"text in UTF-8: {error}") from error
