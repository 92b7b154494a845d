"""A constraint to one of several strings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import decodeplug
from decodeplug.constraints.choice_spec import Choice
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.plugin import BadOption, UnsupportedGrammar, Vocabulary
from xgrammar import Grammar

from decodeplug_xgrammar.ebnf import either, literal
from decodeplug_xgrammar.engine import compile_grammar

__all__ = ["XGrammarChoice", "choice"]


@dataclass(frozen=True, slots=True)
class XGrammarChoice:
    """Exactly one of some strings. One may be the beginning of another. Made by :func:`choice`.

    :ivar plain: The same for the built-in engine, which judges the finished text.
    """

    plain: Choice
    kind: ClassVar[str] = "xgrammar-choice"

    def key(self) -> Hashable:
        return self.plain.key()

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        """Compile for a vocabulary; from the cached compilation where there is one.

        :raises Unsatisfiable: The vocabulary can spell none of them.
        """
        return compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=lambda: Grammar.from_ebnf(f"root ::= {either(map(literal, self.plain.options))}"),
            refusal=lambda message: UnsupportedGrammar(self.kind, because=message),
        )

    def value(self, text: str) -> str:
        """The option that was written.

        :raises InvalidResult: It is none of them.
        """
        return self.plain.value(text)


def choice(options: Iterable[str]) -> XGrammarChoice:
    """Constrain the text to one of ``options``; ``r.value`` is the one that was written.

    :raises BadOption: No option, or one that is not a string.
    """
    plain = decodeplug.choice(options)
    if not isinstance(plain, Choice):
        raise BadOption(XGrammarChoice.kind, options=plain.options, wanted="strings; the built-in choice takes ids")
    return XGrammarChoice(plain)
