"""JSON in a layout: a constraint whose whitespace is free, and an automaton that says where it stands, both together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from decodeplug.constraints.alternatives import Alternatives
from decodeplug.constraints.any_spelling import AnySpelling
from decodeplug.constraints.byte_masks import ByteMasks, compile_automaton
from decodeplug.constraints.compiled import with_engine
from decodeplug.constraints.following import ends_after
from decodeplug.constraints.layout import Indented, Place
from decodeplug.constraints.schema_engine import FREE, LAYOUTS
from decodeplug.constraints.token_texts import single_bytes
from decodeplug.contracts import Constraint, Vocabulary

__all__ = ["LaidOut", "in_layout"]

_MASKS = 16  # masks kept, each one byte per id
_FORCED = 48  # texts in a row that are followed

State = tuple[Any, Any]


def in_layout(
    kind: str, layout: str, masks: Callable[[str, Vocabulary], Constraint], vocabulary: Vocabulary
) -> Constraint:
    """JSON with whitespace where a layout wants it.

    :param kind: The constraint's name in errors. :param layout: One that ``json_schema`` knows.
    :param masks: The constraint for the name of a layout in ``LAYOUTS``, compiled for a vocabulary.
    """
    if layout in LAYOUTS:
        return masks(layout, vocabulary)
    width = None if layout == "model" else int(layout.removeprefix("indent="))
    free = masks(FREE, AnySpelling.of(vocabulary))
    automaton = compile_automaton("layout", layout, Indented(width), vocabulary)
    spell = with_engine(kind, vocabulary).engine().tokenize_bytes
    indented = LaidOut(kind, free, automaton, spell, single_bytes(vocabulary, spell), vocabulary)
    if layout != "model":
        return indented
    flat = [masks(name, vocabulary) for name in ("spaced", "compact")]
    return Alternatives(kind, [*flat, indented], vocabulary.size)


class LaidOut:
    """JSON that a schema allows, with its whitespace where a layout wants it. Implements ``contracts.Constraint``.

    A new line may stand where a closing bracket follows, or a value in an opened one: whether the schema
    has that is asked when it is chosen. What is forced is more than what each of
    the two forces: behind a key the schema leaves a colon or whitespace, and the layout no whitespace.

    :param kind: The constraint's name in errors.
    :param schema: Compiled with free whitespace, and for any spelling. :param layout: The automaton, compiled.
    :param spell: Ids of a text, as the tokenizer splits it. :param singles: The ids of single bytes.
    """

    refuses_late = True

    def __init__(
        self,
        kind: str,
        schema: Constraint,
        layout: ByteMasks,
        spell: Callable[[bytes], list[int]],
        singles: Mapping[int, int],
        vocabulary: Vocabulary,
    ) -> None:
        self.kind = self.name = kind
        self.size = vocabulary.size
        self._schema, self._layout, self._spell, self._bytes = schema, layout, spell, vocabulary.token_bytes
        self._singles = torch.tensor(list(singles.values()))
        self._begins = torch.tensor([token for byte, token in singles.items() if byte not in b" \t\r\n}]"])
        self._closing = [singles[byte] for byte in b"}]" if byte in singles]
        self._masks: OrderedDict[State, Tensor] = OrderedDict()
        self._forced: OrderedDict[State, tuple[int, ...]] = OrderedDict()

    def start(self) -> State:
        return self._schema.start(), self._layout.start()

    def advance(self, state: State, token: int) -> State | None:
        place = self._layout.advance(state[1], token)
        if place is None:
            return None
        inner = self._schema.advance(state[0], token)
        return (inner, place) if inner is not None and self._goes_on(inner, place) else None

    def _goes_on(self, inner: Any, place: Place) -> bool:
        """Does the schema have what must follow the beginning of a line?"""
        if place.mode == "end":
            return any(self._schema.advance(inner, token) is not None for token in self._closing)
        if place.mode in ("margin", "measured"):
            return bool(self._schema.allowed(inner)[self._begins].any())
        return True

    def ends_after(self, state: State, ids: Sequence[int]) -> bool:
        """May the text go on with these ids, and end there?"""
        return ends_after(self._layout, state[1], ids) and ends_after(self._schema, state[0], ids)

    def allowed(self, state: State) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified."""
        mask = self._masks.get(state)
        if mask is None:
            mask = _kept(self._masks, state, self._schema.allowed(state[0]) & self._layout.allowed(state[1]))
        return mask

    def is_accepting(self, state: State) -> bool:
        return self._schema.is_accepting(state[0]) and self._layout.is_accepting(state[1])

    def is_complete(self, state: State) -> bool:
        return self.is_accepting(state) and (self._schema.is_complete(state[0]) or not bool(self.allowed(state).any()))

    def forced(self, state: State) -> tuple[int, ...]:
        """Ids of the text that must follow, as the tokenizer splits it."""
        known = self._forced.get(state)
        if known is None:
            known = _kept(self._forced, state, tuple(self._spell(self._forced_text(state))))
        return known

    def _forced_text(self, state: State) -> bytes:
        text = bytearray()
        for _ in range(_FORCED):
            if self.is_accepting(state):
                break
            for ids in (tuple(self._schema.forced(state[0])), self._layout.forced(state[1]), self._only_byte(state)):
                piece, behind = self._followed(state, ids)
                if piece:
                    break
            else:
                break
            text += piece
            state = behind
        return bytes(text)

    def _followed(self, state: State, ids: tuple[int, ...]) -> tuple[bytes, State]:
        piece = bytearray()
        for token in ids:
            after = self.advance(state, token)
            if after is None:
                break
            state = after
            piece += self._bytes(token)
        return bytes(piece), state

    def _only_byte(self, state: State) -> tuple[int, ...]:
        """The id of the one byte that may follow; empty if there are several."""
        found = self._singles[self.allowed(state)[self._singles]].tolist()
        found = [token for token in found if len(found) > 3 or self.advance(state, token) is not None]
        return (found[0],) if len(found) == 1 else ()


def _kept(memo: OrderedDict[State, Any], state: State, value: Any) -> Any:
    memo[state] = value
    if len(memo) > _MASKS:
        memo.popitem(last=False)
    return value
