"""A constraint that says what byte may follow, as one over tokens."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from decodeplug.constraints.compiled import Once
from decodeplug.constraints.token_texts import token_texts
from decodeplug.constraints.transitions import DEAD, Transitions
from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption, Unsatisfiable

__all__ = ["Automaton", "ByteMasks", "compile_automaton"]

_MASKS = 64  # masks kept, each one byte per id
_FORCED = 64  # forced bytes that are followed


class Automaton(Protocol):
    """What byte may follow. States are hashable values."""

    def start(self) -> Hashable: ...
    def step(self, state: Any, byte: int, /) -> Any | None: ...
    def is_accepting(self, state: Any, /) -> bool: ...


class ByteMasks:
    """An automaton over bytes, compiled for a vocabulary. Implements ``contracts.Constraint``.

    States are the automaton's own. May be shared: calls from several threads wait for each other.

    :param kind: Its name in errors.
    """

    is_exact: ClassVar[bool] = True

    def __init__(self, kind: str, automaton: Automaton, vocabulary: Vocabulary) -> None:
        self.kind, self.name, self.size = kind, kind, vocabulary.size
        self._automaton, self._tokens = automaton, token_texts(vocabulary)
        self._transitions = Transitions(automaton.step)
        self._masks: OrderedDict[Any, Tensor] = OrderedDict()
        self._lock = threading.RLock()

    def start(self) -> Any:
        return self._automaton.start()

    def is_accepting(self, state: Any) -> bool:
        return self._automaton.is_accepting(state)

    def is_complete(self, state: Any) -> bool:
        return self.is_accepting(state) and not bool(self.allowed(state).any())

    def advance(self, state: Any, token: int) -> Any | None:
        text = self._tokens.texts[token] if 0 <= token < self.size else b""
        if not text:
            return None
        for byte in text:
            state = self._automaton.step(state, byte)
            if state is None:
                return None
        return state

    def allowed(self, state: Any) -> Tensor:
        """Which ids may follow: ``[size]`` bool on the CPU, not to be modified; empty where the text is stuck."""
        with self._lock:
            mask = self._masks.get(state)
            if mask is None:
                mask = self._masks[state] = self._walked(state)
                if len(self._masks) > _MASKS:
                    self._masks.popitem(last=False)
            return mask

    def _walked(self, state: Any) -> Tensor:
        """Walk the tree of all tokens, a level at a time; what is dead is not followed."""
        trie, transitions = self._tokens.trie, self._transitions
        states = np.zeros(trie.nodes, np.int32)  # of each node; DEAD where its bytes may not follow
        states[0] = transitions.number(state)
        for level in trie.levels:
            before = states[level.parents]
            if not before.any():
                break
            states[level.first : level.first + len(before)] = transitions.after(before, level.bytes)
        allowed = np.zeros(self.size, np.bool_)
        allowed[trie.tokens] = states[trie.ends] != DEAD
        transitions.forget_if_many()
        return torch.from_numpy(allowed)

    def forced(self, state: Any) -> tuple[int, ...]:
        """Ids that spell the bytes that must follow."""
        written = bytearray()
        with self._lock:
            while len(written) < _FORCED and not self._automaton.is_accepting(state):
                only = self._transitions.only_byte(state)
                if only is None:
                    break
                byte, state = only
                written.append(byte)
        return tuple(self._tokens.spell(bytes(written)) or ())


_COMPILED: Once[ByteMasks] = Once(16)


def compile_automaton(kind: str, key: Hashable, automaton: Automaton, vocabulary: Vocabulary) -> ByteMasks:
    """Compile an automaton for a vocabulary; equal ones (by kind and key) are the same object.

    :raises BadOption: A state or the key cannot be hashed.
    :raises Unsatisfiable: No token may come first, and the empty text is not accepted.
    """
    try:
        hash((key, automaton.start()))
    except TypeError as error:
        wanted = f"states and options that can be hashed, such as tuples and a frozen dataclass ({error})"
        raise BadOption(kind, wanted=wanted) from None

    def make() -> ByteMasks:
        made = ByteMasks(kind, automaton, vocabulary)
        start = made.start()
        if not made.is_accepting(start) and not bool(made.allowed(start).any()):
            raise Unsatisfiable(kind, because="no token may come first, and the empty text is not accepted")
        return made

    fingerprint = getattr(vocabulary, "fingerprint", None)
    return make() if fingerprint is None else _COMPILED.get((kind, key, fingerprint), make)
