"""A constraint to one of several strings."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from llguidance import LLMatcher

from decodeplug.constraints.compiled import compile_grammar, expression_in, first_line
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.token_choice import TokenChoice
from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption, InvalidResult, UnsupportedGrammar

__all__ = ["Choice", "choice"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")


@dataclass(frozen=True, slots=True)
class Choice:
    """Exactly one of these strings. One may be the beginning of another.

    :raises BadOption: There is no option, or one is not a text that can be written as UTF-8.
    """

    options: tuple[str, ...]
    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        if not self.options:
            raise BadOption("choice", options=self.options, wanted="at least one string")
        if wrong := [option for option in self.options if not isinstance(option, str)]:
            raise BadOption("choice", options=wrong, wanted="strings; for other values use json_schema with an enum")
        if wrong := [option for option in self.options if any("\ud800" <= char <= "\udfff" for char in option)]:
            raise BadOption("choice", options=wrong, wanted="strings without surrogates")

    def key(self) -> Hashable:
        return self.options

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        """Compile for a vocabulary; a copy of the cached compilation where there is one.

        :raises UnsupportedGrammar: The options are too many or too long for the engine.
        :raises Unsatisfiable: The vocabulary can spell none of them.
        """
        return compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=self._grammar,
            refusal=lambda message: UnsupportedGrammar(self.kind, because=first_line(message)),
        )

    def _grammar(self) -> str:
        # One expression, not a rule with alternatives: the engine's lexer would have to choose
        # between an option and the longer one that begins with it.
        return LLMatcher.grammar_from_regex(f"(?:{'|'.join(map(_literally, self.options))})")

    def expression(self) -> str:
        """This constraint as the inside of a terminal of the engine's grammar."""
        return expression_in(self._grammar())

    def value(self, text: str) -> str:
        """The option that was written.

        :raises InvalidResult: It is none of them.
        """
        if text not in self.options:
            raise InvalidResult(text, because="it is none of the options")
        return text


def choice(options: Iterable[str] | Iterable[Sequence[int]]) -> Choice | TokenChoice:
    """Constrain the text to one of ``options``; ``r.value`` is the one that was written.

    How likely each of them is, ``host.score(prompt, option)`` says.

    :param options: Strings, or sequences of ids, which are taken as they are, however else their text could be spelt.
    :raises BadOption: No option, or one that is neither a string nor ids.
    """
    if isinstance(options, str | bytes) or not isinstance(options, Iterable):
        raise BadOption("choice", options=options, wanted="a list of strings, or of sequences of ids")
    given: list[Any] = list(options)
    if given and all(isinstance(option, list | tuple) for option in given):
        return TokenChoice(tuple(dict.fromkeys(map(tuple, given))))
    try:
        return Choice(tuple(dict.fromkeys(given)))
    except TypeError:  # something that cannot be hashed, hence no string
        return Choice(tuple(given))


def _literally(text: str) -> str:
    """A pattern for exactly this text; everything that could mean something is written by its code point."""
    return "".join(char if char in _PLAIN else f"\\x{{{ord(char):x}}}" for char in text)
