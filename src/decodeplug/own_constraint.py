"""Constraints of one's own: say what may follow byte by byte, or character by character; token masks come of it.

@dataclass(frozen=True)
class Balanced(CharacterConstraint):
    deepest: int = 5
    characters = "()"

    def start(self) -> int:
        return 0

    def step(self, depth: int, char: str) -> int | None:
        depth += 1 if char == "(" else -1
        return depth if 0 <= depth <= self.deepest else None

    def is_accepting(self, depth: int) -> bool:
        return depth == 0

host.generate("Brackets: ", constraint=Balanced(3))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar

from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import BadOption, InvalidResult

__all__ = ["ByteConstraint", "CharacterConstraint"]


class OwnConstraint(ABC):
    """What both kinds have in common. Implements half of ``contracts.ConstraintSpec``.

    States are yours: any hashable values, best small ones that are equal where the same may follow, since what
    is found out is kept by state. ``step`` should return None as soon as no text can be finished any more;
    where it does not, a text can get stuck, which ends its request with ``Unsatisfiable``.

    A mask walks all tokens of the vocabulary at once, sharing their beginnings. It costs one call of ``step`` for
    each pair of state and byte that was never asked for before, and else a few ms for 49,152 ids at most.

    Override ``value`` for another ``r.value`` than the text. Override ``key`` if objects that are equal do not
    mean the same.
    """

    kind: ClassVar[str] = "own"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" not in cls.__dict__:
            cls.kind = cls.__name__

    @abstractmethod
    def start(self) -> Hashable:
        """The state of the empty text."""

    @abstractmethod
    def is_accepting(self, state: Any, /) -> bool:
        """May the text end here?"""

    def key(self) -> Hashable:
        return (type(self), self)


class ByteConstraint(OwnConstraint):
    """A constraint by what byte may follow; best a frozen dataclass. The texts are UTF-8.

    Implements ``contracts.ConstraintSpec``. See :class:`OwnConstraint` for what states should be like.
    """

    @abstractmethod
    def step(self, state: Any, byte: int, /) -> Any | None:
        """The state after one more byte (0 to 255), or None if it may not follow. Changes nothing."""

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary; equal constraints share what they found out.

        :raises BadOption: A state cannot be hashed.
        :raises Unsatisfiable: No token may come first, and the empty text is not accepted.
        """
        from decodeplug.constraints.byte_masks import compile_automaton

        return compile_automaton(self.kind, self.key(), self, vocabulary)

    def value(self, text: str) -> Any:
        """The text itself.

        :raises InvalidResult: It is not allowed.
        """
        state: Any = self.start()
        for at, byte in enumerate(text.encode("utf-8", "surrogatepass")):
            state = self.step(state, byte)
            if state is None:
                raise InvalidResult(text, because=f"byte {at} may not follow")
        if not self.is_accepting(state):
            raise InvalidResult(text, because="it may not end there")
        return text


class CharacterConstraint(OwnConstraint):
    """A constraint by what character may follow; best a frozen dataclass.

    Implements ``contracts.ConstraintSpec``. See :class:`OwnConstraint` for what states should be like.

    :cvar characters: The characters that may occur at all, to be set by each class. None for any of Unicode: then
        a state that takes few characters costs up to a second where it is first met, as all are tried.
    """

    characters: ClassVar[str | None]

    @abstractmethod
    def step(self, state: Any, char: str, /) -> Any | None:
        """The state after one more character, or None if it may not follow. Changes nothing."""

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary; equal constraints share what they found out.

        :raises BadOption: ``characters`` is not set, or a state cannot be hashed.
        :raises Unsatisfiable: No token may come first, and the empty text is not accepted.
        """
        from decodeplug.constraints.byte_masks import compile_automaton
        from decodeplug.constraints.characters import ByCharacter

        characters = getattr(self, "characters", 0)
        if characters is not None and not isinstance(characters, str):
            raise BadOption(self.kind, wanted='characters = "...", all that may occur, or None for any of Unicode')
        automaton = ByCharacter(self.start, self.step, self.is_accepting, characters)
        return compile_automaton(self.kind, self.key(), automaton, vocabulary)

    def value(self, text: str) -> Any:
        """The text itself.

        :raises InvalidResult: It is not allowed.
        """
        state: Any = self.start()
        for at, char in enumerate(text):
            allowed = self.characters is None or char in self.characters
            state = self.step(state, char) if allowed else None
            if state is None:
                raise InvalidResult(text, because=f"character {at}, {char!r}, may not follow")
        if not self.is_accepting(state):
            raise InvalidResult(text, because="it may not end there")
        return text
