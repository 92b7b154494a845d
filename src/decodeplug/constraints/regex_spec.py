"""A constraint by a regular expression over the whole text."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from llguidance import LLMatcher

from decodeplug.constraints.character_classes import translated
from decodeplug.constraints.compiled import compile_grammar, expression_in, first_line
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.pattern import fits, read_pattern
from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption, DecodeplugError, InvalidResult, UnsupportedGrammar

__all__ = ["Regex", "regex"]


@dataclass(frozen=True, slots=True)
class Regex:
    """Texts that match a pattern from their first to their last character.

    The dialect is what Python's ``re`` and Rust's ``regex`` crate read alike: literals, classes,
    ``.`` (no newline), groups (also named), ``|``, ``* + ? {m,n}`` and their lazy forms, ``\\d \\w \\s``
    (Unicode) and flags such as ``(?i)``. ``^`` and ``$`` are allowed at the ends and change
    nothing. Refused: look-around, back-references, word boundaries, atomic groups,
    possessive repetition, and what only one of the two can read (``\\p{L}``, ``[a&&b]``).

    :raises UnsupportedGrammar: The pattern is outside the dialect or explodes; with line and
        column where they are known. What the mask engine alone refuses is raised when compiled.
    """

    pattern: str
    kind: ClassVar[str] = "regex"

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise BadOption("regex", pattern=self.pattern, wanted="a pattern as text")
        read_pattern(self.pattern)

    def key(self) -> Hashable:
        return self.pattern

    def compile(self, vocabulary: Vocabulary) -> MaskConstraint:
        """Compile for a vocabulary; a copy of the cached compilation where there is one.

        :raises UnsupportedGrammar: The engine refuses the pattern, or the pattern explodes.
        :raises Unsatisfiable: No text matches.
        """
        return compile_grammar(
            self.kind,
            self.key(),
            vocabulary,
            grammar=self._grammar,
            refusal=lambda message: _refusal(self.pattern, message),
            probe=read_pattern(self.pattern).may_explode,
        )

    def _grammar(self) -> str:
        return LLMatcher.grammar_from_regex(translated(self.pattern))

    def expression(self) -> str:
        """This constraint as the inside of a terminal of the engine's grammar."""
        return expression_in(self._grammar())

    def value(self, text: str) -> str:
        """The text itself.

        :raises InvalidResult: It does not match, or ``re``-like matching takes over a second.
        """
        matches = fits(translated(self.pattern), text)
        if matches is None:
            raise InvalidResult(text, because="whether it matches could not be told within a second")
        if not matches:
            raise InvalidResult(text, because=f"it does not match {self.pattern!r} from end to end")
        return text


def regex(pattern: str) -> Regex:
    """Constrain the whole text to a regular expression; ``r.value`` is the text. See :class:`Regex`."""
    return Regex(pattern)


def _refusal(pattern: str, message: str) -> DecodeplugError:
    """The engine's message, with the column that its caret points at where there is one."""
    reason = re.search(r"^error: (.+)$", message, re.MULTILINE)
    because = reason[1] if reason else first_line(message).rpartition("(in regex): ")[2]
    # The engine points into the pattern that it was given, which is the user's if nothing had to be written out.
    caret = re.search(rf"^    {re.escape(pattern)}\n    ( *)\^", message, re.MULTILINE)
    if caret is None:
        return UnsupportedGrammar("regex", because=because)
    return UnsupportedGrammar("regex", because=because, line=1, column=len(caret[1]) + 1)
