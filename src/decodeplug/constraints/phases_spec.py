"""Think freely first, then answer under a constraint."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.constraints.as_spec import as_spec
from decodeplug.constraints.budget import known_text
from decodeplug.constraints.markers import Marker
from decodeplug.constraints.phased import Phased
from decodeplug.constraints.token_texts import token_texts
from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import BadOption, InvalidResult, Unsatisfiable

__all__ = ["Phases", "phases"]


@dataclass(frozen=True, slots=True)
class Phases:
    """Any text up to the first ``marker``, and behind it what ``then`` allows. Made by :func:`phases`.

    :raises BadOption: No constraint, no marker that can be written, or no number of tokens.
    """

    then: Any
    marker: str = "</think>"
    budget: int | None = None
    kind: ClassVar[str] = "phases"

    def __post_init__(self) -> None:
        object.__setattr__(self, "then", as_spec(self.then))
        if not isinstance(self.marker, str) or not self.marker:
            raise BadOption(self.kind, marker=self.marker, wanted="the text behind which the constraint begins")
        if any("\ud800" <= char <= "\udfff" or char == "\ufffd" for char in self.marker):
            raise BadOption(self.kind, marker=self.marker, wanted="a text without surrogates and U+FFFD")
        whole = isinstance(self.budget, int) and not isinstance(self.budget, bool)
        if self.budget is not None and not (whole and self.budget >= 0):
            raise BadOption(self.kind, budget=self.budget, wanted="a whole number of tokens, or None for no limit")

    def key(self) -> Hashable:
        return (type(self.then), self.then.kind, self.then.key(), self.marker, self.budget)

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary.

        :raises Unsatisfiable: ``then`` cannot be satisfied, or the vocabulary cannot spell the marker.
        """
        then, marker, tokens = self.then.compile(vocabulary), self.marker.encode(), token_texts(vocabulary)
        if any(tokens.spell(marker[done:]) is None for done in range(len(marker))):
            raise Unsatisfiable(self.kind, because=f"no ids of this vocabulary spell the marker {self.marker!r}")
        answer = known_text(then, (self.kind, type(self.then), self.then.key()), vocabulary)
        kind = f"{self.kind} before {self.then.kind}"
        return Phased(kind, Marker(marker), then, self.budget, vocabulary, answer=answer)

    def split(self, text: str) -> tuple[str, str]:
        """The thinking before the first marker, and the answer behind it.

        :raises InvalidResult: There is no marker.
        """
        thinking, marker, answer = text.partition(self.marker)
        if not marker:
            raise InvalidResult(text, because=f"it has no {self.marker!r}")
        return thinking, answer

    def value(self, text: str) -> Any:
        """The value of ``then`` for what is behind the first marker; ``split(text)`` has the thinking too.

        :raises InvalidResult: There is no marker, or ``then`` refuses what is behind it.
        """
        return self.then.value(self.split(text)[1])


def phases(then: Any, *, marker: str = "</think>", budget: int | None = None) -> Phases:
    """Let the model think freely up to ``marker``, and hold what follows to ``then``; ``r.value`` is that of ``then``.

    Before the marker any token may follow but those that end a text or are special. The constraint holds from
    the byte behind the first marker on, also where one token has the end of the marker and the beginning of
    what follows. The text cannot end before the marker. ``phases(...).split(r.text)`` gives thinking and answer.

    :param then: Whatever ``constraint=`` takes.
    :param marker: The text that ends the thinking. Where the model writes whitespace behind it, add that:
        ``"</think>\\n\\n"``.
    :param budget: Tokens of thinking at most; when they are spent, the rest of the marker is forced. None: as
        many as ``max_new_tokens`` leaves, so the answer may not be reached. Since it counts tokens, not bytes,
        ``host.accepts`` tells what holds for the tokenizer's own spelling of a text.
    :raises BadOption: No constraint, no marker that can be written, or no number of tokens.
    """
    return Phases(then, marker, budget)
