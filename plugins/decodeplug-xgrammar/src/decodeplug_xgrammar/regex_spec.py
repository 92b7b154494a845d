"""A constraint by a regular expression over the whole text."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

import decodeplug
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.regex_spec import Regex
from decodeplug.plugin import UnsupportedGrammar, Vocabulary
from xgrammar import Grammar

from decodeplug_xgrammar.engine import compile_grammar
from decodeplug_xgrammar.patterns import whole_text

__all__ = ["XGrammarRegex", "regex"]


@dataclass(frozen=True, slots=True)
class XGrammarRegex:
    """Texts that match a pattern from their first to their last character. Made by :func:`regex`.

    :ivar plain: The same for the built-in engine: it checks the dialect, and judges the finished text.
    """

    plain: Regex
    kind: ClassVar[str] = "xgrammar-regex"

    def key(self) -> Hashable:
        return self.plain.key()

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        """Compile for a vocabulary; from the cached compilation where there is one.

        :raises UnsupportedGrammar: The pattern cannot be followed character by character.
        :raises Unsatisfiable: The vocabulary can spell no text that matches.
        """
        return compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=lambda: Grammar.from_ebnf(f"root ::= {whole_text(self.plain.pattern)}"),
            refusal=lambda message: UnsupportedGrammar(self.kind, because=message),
        )

    def value(self, text: str) -> str:
        """The text itself.

        :raises InvalidResult: It does not match.
        """
        return self.plain.value(text)


def regex(pattern: str) -> XGrammarRegex:
    """Constrain the whole text to a regular expression, in the dialect of ``decodeplug.regex``.

    :raises BadOption: No text. :raises UnsupportedGrammar: The pattern is outside the dialect.
    """
    return XGrammarRegex(decodeplug.regex(pattern))
