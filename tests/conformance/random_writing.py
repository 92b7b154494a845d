"""Write a text at random, as a model without any sense would, and see whether it is valid."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from conformance.judges import judge_of
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

from decodeplug.constraints import JsonSchema, json_schema
from decodeplug.constraints.schema_tree import subschemas
from decodeplug.contracts import Constraint, Vocabulary
from decodeplug.errors import DecodeplugError, InvalidResult, Unsatisfiable, UnsupportedSchema

__all__ = ["Fault", "Writer", "fault_in", "faults_of"]

LONGEST = 1500  # tokens; what is not finished by then never will be
DEEPER = 15  # levels; who only wants to end does not open as many, unless there is no other way on
_OUTSIDE = {
    **dict.fromkeys(b"]}", 0),
    **dict.fromkeys(b",:", 1),
    **dict.fromkeys(b'"ntf-0123456789', 2),
    ord("["): 3,
    ord("{"): 4,
}
_REST = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """A text that a constraint allowed and that is not valid, or one that could not be finished.

    :ivar kind: "invalid" (jsonschema refuses it), "refused at the end" (by the last check alone),
        "dead end", "endless" or an error's class.
    """

    kind: str
    schema: Any
    text: str
    because: str


class Writer:
    """Chooses uniformly among the tokens that are allowed; after a while, only among those that end things.

    :param vocabulary: Its ids below 256 are the bytes. :param free: Tokens written freely, at most.
    """

    def __init__(self, vocabulary: Vocabulary, free: int = 60) -> None:
        self.vocabulary, self._free = vocabulary, free
        self._bytes = [vocabulary.token_bytes(token) for token in range(vocabulary.size)]

    def write(self, constraint: Constraint, chance: random.Random, words: Sequence[str] = ()) -> tuple[str, str]:
        """One text, and why it is not finished; nothing if it is.

        :param words: Tried where a string does not want to end: a pattern may wait for one of them.
        :raises Unsatisfiable: Nothing may follow, and the text may not end.
        """
        state, written, word = constraint.start(), bytearray(), b""
        free = chance.randint(0, self._free)
        deepest = 0
        for count in range(LONGEST):
            if constraint.is_accepting(state) and (count >= free or chance.random() < 0.2):
                return written.decode("utf-8", "replace"), ""
            choices = np.flatnonzero(constraint.allowed(state).numpy()).tolist()
            if not choices:
                if constraint.is_accepting(state):
                    return written.decode("utf-8", "replace"), ""
                raise Unsatisfiable("text", because=f"a dead end after {bytes(written)!r}")
            token = chance.choice(choices if count < free else self._closing(choices, written))
            if count > free and self._bytes[token] != b'"' and _in_a_string(written):
                word = word or (chance.choice(words).encode() if words and chance.random() < 0.3 else b"")
                token, word = (word[0], word[1:]) if word and word[0] in choices else (token, b"")
            written += self._bytes[token]
            state = constraint.advance(state, token)
            assert state is not None, f"{bytes(written)!r}: the last token was allowed"
            if count == free:
                deepest = _levels(written) + DEEPER
            elif count > free and count % 10 == 0 and _levels(written) > deepest:
                return written.decode("utf-8", "replace"), f"{DEEPER} levels deeper since it was time to end"
        return written.decode("utf-8", "replace"), f"not finished after {LONGEST} tokens"

    def _closing(self, choices: list[int], written: bytearray) -> list[int]:
        inside = _in_a_string(written)

        def rank(token: int) -> tuple[int, int]:
            spelled = self._bytes[token]
            if inside:
                return (0 if spelled[:1] == b'"' else 2 if spelled[:1] == b"\\" else 1, len(spelled))
            return (_OUTSIDE.get(spelled[0], _REST) if spelled else _REST, len(spelled))

        ranks = [rank(token) for token in choices]
        best = min(ranks)  # of equal rank the shortest: one of them may be the character that is missing before the end
        return [token for token, mine in zip(choices, ranks, strict=True) if mine == best]


def _in_a_string(written: bytearray) -> bool:
    inside, at = False, 0
    while at < len(written):
        if written[at] == ord('"'):
            inside = not inside
        elif written[at] == ord("\\"):
            at += 1
        at += 1
    return inside


def faults_of(
    schema: Any, writer: Writer, chance: random.Random, texts: int, judge: Validator | None = None, **options: Any
) -> list[Fault] | None:
    """Write some texts for a schema; None if it is refused before the first token.

    :param judge: As for :func:`fault_in`. :param options: For ``json_schema``.
    """
    try:
        spec = json_schema(schema, **options)
        constraint = spec.compile(writer.vocabulary)
    except (UnsupportedSchema, Unsatisfiable):
        return None
    words = _words(schema)
    found = (_fault(schema, spec, lambda: writer.write(constraint, chance, words), judge) for _ in range(texts))
    return [fault for fault in found if fault is not None]


def _messages(error: ValidationError) -> Iterator[str]:
    """What jsonschema says, and what it says of each option that does not fit."""
    yield error.message
    for inner in error.context:
        yield from _messages(inner)


def _levels(written: bytearray) -> int:
    """Brackets that are open."""
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"?', b"", written, flags=re.DOTALL)
    return bare.count(b"[") + bare.count(b"{") - bare.count(b"]") - bare.count(b"}")


def _words(schema: Any) -> list[str]:
    """The words that stand in the patterns of a schema."""
    parts = [part for _, part in subschemas(schema) if isinstance(part, dict)]
    patterns = [str(part["pattern"]) for part in parts if "pattern" in part]
    patterns += [
        name for part in parts if isinstance(part.get("patternProperties"), dict) for name in part["patternProperties"]
    ]
    return sorted({word for pattern in patterns for word in re.findall(r"[^\W\d_]+", pattern)})


def _fault(
    schema: Any, spec: JsonSchema, write: Callable[[], tuple[str, str]], judge: Validator | None
) -> Fault | None:
    try:
        text, unfinished = write()
    except DecodeplugError as error:
        return Fault("dead end" if isinstance(error, Unsatisfiable) else type(error).__name__, schema, "", str(error))
    if unfinished:
        return Fault("endless", schema, text, unfinished)
    return fault_in(schema, spec, text, judge)


def fault_in(schema: Any, spec: JsonSchema, text: str, judge: Validator | None = None) -> Fault | None:
    """What is wrong with a text that was allowed, by jsonschema, or else by our own last check.

    :param judge: jsonschema's; if not given, draft 2020-12 with formats asserted.
    """
    if judge is None:
        judge = judge_of(schema)
    try:
        error = next(judge.iter_errors(json.loads(text)), None)
        if isinstance(error, ValidationError):
            return Fault("invalid", schema, text, "; ".join(_messages(error)))
    except (
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as failure:  # jsonschema itself cannot read or judge it: ours may
        unread = f"; jsonschema: {type(failure).__name__}: {failure}"
    else:
        unread = ""
    try:
        spec.value(text)
    except InvalidResult as refused:
        return Fault("refused at the end", schema, text, refused.because + unread)
    return None
