"""A constraint by a grammar in XGrammar's EBNF."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from decodeplug.constraints.masks import MaskConstraint
from decodeplug.plugin import BadOption, InvalidResult, Unsatisfiable, UnsupportedGrammar, Vocabulary
from xgrammar import CompiledGrammar, Grammar, GrammarCompiler, GrammarMatcher, TokenizerInfo

from decodeplug_xgrammar.ebnf_rules import ROOT, MacroError, endless_rules, read_rules
from decodeplug_xgrammar.engine import compile_grammar, last_line

__all__ = ["XGrammarGrammar", "grammar"]

_PLACE = re.compile(r"EBNF (?:parser|lexer) error at line (\d+), column (\d+): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class XGrammarGrammar:
    """Texts that an EBNF grammar allows. Made by :func:`grammar`.

    :ivar text: The grammar. :ivar root: The rule to begin with.
    """

    text: str
    root: str = "root"
    kind: ClassVar[str] = "xgrammar-grammar"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise BadOption(self.kind, text=self.text, wanted="a grammar as text")
        if not isinstance(self.root, str) or not self.root:
            raise BadOption(self.kind, root=self.root, wanted="the name of a rule")
        _read(self.text, self.root)

    def key(self) -> Hashable:
        return (self.text, self.root)

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        """Compile for a vocabulary; from the cached compilation where there is one.

        :raises UnsupportedGrammar: XGrammar refuses the grammar for this vocabulary.
        :raises Unsatisfiable: The vocabulary can spell no text of it.
        """
        return compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=lambda: _read(self.text, self.root),
            refusal=lambda message: UnsupportedGrammar(self.kind, because=message),
        )

    def value(self, text: str) -> str:
        """The text itself.

        :raises InvalidResult: The grammar does not allow it.
        """
        matcher = GrammarMatcher(_alone(self.text, self.root))
        if (text and not matcher.accept_string(text)) or not matcher.is_completed():
            raise InvalidResult(text, because="the grammar does not allow it")
        return text


def grammar(text: str, root: str = "root") -> XGrammarGrammar:
    """Constrain the text to an EBNF grammar, in the notation of XGrammar (that of llama.cpp); ``r.value`` is the text.

    :param text: The grammar, without XGrammar's macros, which speak of tokens. :param root: The rule to begin with.
    :raises BadOption: No text. :raises Unsatisfiable: The first rule never comes to an end.
    :raises UnsupportedGrammar: It cannot be read (with line and column), has macros, or has a rule within reach that
        never comes to an end.
    """
    return XGrammarGrammar(text, root)


@lru_cache(128)
def _read(text: str, root: str) -> Grammar:
    try:
        found = Grammar.from_ebnf(text, root_rule_name=root)
    except RuntimeError as error:
        place = _PLACE.search(str(error))
        if place is None:
            raise UnsupportedGrammar("grammar", because=last_line(error)) from None
        because = place[3].strip()
        raise UnsupportedGrammar("grammar", because=because, line=int(place[1]), column=int(place[2])) from None
    try:
        rules = read_rules(str(found))
    except MacroError as error:
        raise UnsupportedGrammar("grammar", because=f"{error} is no rule, text or count") from None
    if endless := endless_rules(rules):
        if endless[0] == ROOT:
            raise Unsatisfiable("grammar", because=f"{root} never comes to an end")
        raise UnsupportedGrammar("grammar", because=f"{', '.join(endless)} never comes to an end")
    return found


@lru_cache(32)
def _alone(text: str, root: str) -> CompiledGrammar:
    """The grammar without any vocabulary: for whole texts."""
    compiler = GrammarCompiler(TokenizerInfo([]), max_threads=1, cache_enabled=False)
    return compiler.compile_grammar(_read(text, root))
