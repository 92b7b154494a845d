"""The forms in which families of models write calls of functions, and reading calls in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from decodeplug.errors import InvalidResult
from decodeplug.values import ToolCall, ToolCalls

__all__ = ["FORMS", "HERMES", "LLAMA3", "MISTRAL", "ToolForm"]

_ID = re.compile(', "id": "([a-zA-Z0-9]{9})"')
_JSON = json.JSONDecoder()
_SHOWN = 40  # characters of a text that an error quotes


class _Arguments(Protocol):
    """The schema of the arguments of a function."""

    def value(self, text: str) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How a family of models writes calls: ``mark``, ``opening``, calls with ``between`` between them, ``closing``.

    A call is ``head``, the name as JSON, ``middle``, the arguments as JSON, and ``tail``.

    :ivar mark: From its first place in the text on there are calls. :ivar at_start: It is a mark only where the text
        begins with it. :ivar opening: What may stand behind it, in several ways. :ivar between: None: there is one call.
    :ivar has_ids: Behind the arguments there may be an id: nine letters and digits.
    """

    name: str
    mark: str
    head: str
    middle: str
    tail: str
    between: str | None
    at_start: bool = False
    opening: tuple[str, ...] = ("",)
    closing: str = ""
    has_ids: bool = False

    def find(self, text: str) -> int:
        """Where the mark is; -1 if nowhere."""
        return text.find(self.mark) if not self.at_start else 0 if text.startswith(self.mark) else -1

    def grammar(self, functions: Mapping[str, str], *, parallel: bool, marked: bool) -> str:
        """The engine's grammar of the calls.

        :param functions: Name -> the right side of the rule of its arguments. :param parallel: There may be several.
        :param marked: The mark stands in front of them.
        """
        start = [
            _quoted(self.mark) if marked else "",
            f"({' | '.join(map(_quoted, self.opening))})" if any(self.opening) else "",
            "call",
            f"({_quoted(self.between)} call)*" if parallel and self.between is not None else "",
            _quoted(self.closing) if self.closing else "",
        ]
        names = [f"function_{number}" for number in range(len(functions))]
        called = [_quoted(self.head), f"({' | '.join(names)})", "ID?" if self.has_ids else "", _quoted(self.tail)]
        rules = [f"start: {' '.join(filter(None, start))}", f"call: {' '.join(filter(None, called))}"]
        for rule, (name, arguments) in zip(names, functions.items(), strict=True):
            rules.append(f"{rule}: {_quoted(_quoted(name) + self.middle)} arguments_{rule}")
            rules.append(f"arguments_{rule}: {arguments}")
        if self.has_ids:
            rules.append(f"ID: /{_ID.pattern}/")
        return "\n".join(rules)

    def one_call(self, name: str, arguments: str) -> str:
        """The text with one call in it, from the mark on.

        :param arguments: As JSON.
        """
        call = f"{self.head}{_quoted(name)}{self.middle}{arguments}{self.tail}"
        return f"{self.mark}{self.opening[0]}{call}{self.closing}"

    def read(self, text: str, functions: Mapping[str, _Arguments], *, parallel: bool) -> ToolCalls:
        """The calls in a text that begins with the mark.

        :raises InvalidResult: A call is not complete, is of another function, or its arguments are not as its schema
            wants; or there are several and shall not be, or something follows them.
        """
        reader = _Reader(text, len(self.mark))
        reader.expect(*self.opening)
        calls = [self._call(reader, functions)]
        while self.between is not None and reader.take(self.between):
            calls.append(self._call(reader, functions))
        reader.expect(self.closing)
        if not reader.is_done:
            raise reader.refused("something follows the last call, or a call is not closed")
        if len(calls) > 1 and not parallel:
            raise reader.refused("there are several calls")
        return ToolCalls(calls)

    def _call(self, reader: _Reader, functions: Mapping[str, _Arguments]) -> ToolCall:
        reader.expect(self.head)
        for name, arguments in functions.items():
            if reader.take(_quoted(name) + self.middle):
                value = arguments.value(reader.json())
                own_id = reader.match(_ID) if self.has_ids else None
                reader.expect(self.tail)
                return ToolCall(name, value, own_id)
        raise reader.refused(f"this is no call of {', '.join(functions)}")


def _quoted(text: str) -> str:
    """A text as JSON, and as the engine's grammars quote it."""
    return json.dumps(text, ensure_ascii=False)


class _Reader:
    """A text that is read from one place on."""

    def __init__(self, text: str, at: int) -> None:
        self._text, self._at = text, at

    @property
    def is_done(self) -> bool:
        return self._at == len(self._text)

    def take(self, piece: str) -> bool:
        """Go behind ``piece``, if it is next."""
        found = self._text.startswith(piece, self._at)
        self._at += len(piece) if found else 0
        return found

    def expect(self, *pieces: str) -> None:
        """Go behind the first of ``pieces`` that is next; one must be."""
        if not any(map(self.take, pieces)):
            raise self.refused(f"there is no {' or '.join(map(repr, pieces))}")

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Go behind what the pattern matches, if it does, and return its group."""
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[1]

    def json(self) -> str:
        """The text of the JSON value that is next."""
        try:
            _, end = _JSON.raw_decode(self._text, self._at)
        except (ValueError, RecursionError) as error:
            raise self.refused(f"there is no JSON: {error}") from None
        piece, self._at = self._text[self._at : end], end
        return piece

    def refused(self, because: str) -> InvalidResult:
        """The error that says what is wrong, and where."""
        shown = self._text[self._at : self._at + _SHOWN]
        return InvalidResult(self._text, because=f"{because} (at character {self._at}: {shown!r})")


HERMES = ToolForm(
    name="hermes",
    mark="<tool_call>",
    head='\n{"name": ',
    middle=', "arguments": ',
    tail="}\n</tool_call>",
    between="\n<tool_call>",
)
"""Hermes 2 and 3, Qwen 2.5 and 3. Source: their chat templates."""

LLAMA3 = ToolForm(
    name="llama3",
    mark='{"name"',
    head=": ",
    middle=', "parameters": ',
    tail="}",
    between=None,
    at_start=True,
)
"""Llama 3.1, 3.2 and 3.3. One call: their chat templates raise where a message has more."""

MISTRAL = ToolForm(
    name="mistral",
    mark="[TOOL_CALLS]",
    head='{"name": ',
    middle=', "arguments": ',
    tail="}",
    between=", ",
    opening=("[", " ["),
    closing="]",
    has_ids=True,
)
"""Mistral with tokenizers of version 3 (Mistral 7B v0.3, Nemo, Ministral 8B). Their chat templates write ids into calls,
which a model may leave out. SentencePiece tokenizers have a space behind the mark, Tekken ones have none."""

FORMS: Mapping[str, ToolForm] = {form.name: form for form in (HERMES, LLAMA3, MISTRAL)}
