"""A vocabulary for whose constraints every spelling of a text is as good as another.

Alone, a constraint may leave only the tokenizer's own way to split a text that is forced. Where several
must agree on each token this would lose texts: what one splits as ``he|llo`` the other may split as ``hel|lo``.
"""

from __future__ import annotations

import json
from typing import Any

from decodeplug.contracts import Vocabulary

__all__ = ["AnySpelling", "allows_any_spelling", "unforced"]

_OPTIONS = "%llguidance"


class AnySpelling:
    """The same vocabulary; constraints compiled for it allow every token that goes on with an allowed text.

    :ivar vocabulary: The vocabulary itself; all that is not named here is its own.
    """

    allows_any_spelling = True

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.size, self.end_ids = vocabulary.size, vocabulary.end_ids

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> AnySpelling:
        return vocabulary if isinstance(vocabulary, cls) else cls(vocabulary)

    @property
    def fingerprint(self) -> str:
        """Another one than that of the vocabulary: compilations of the two are not the same."""
        known: Any = self.vocabulary
        return f"{known.fingerprint}|any spelling"

    def token_bytes(self, token: int) -> bytes:
        return self.vocabulary.token_bytes(token)

    def encode(self, text: str) -> list[int]:
        return self.vocabulary.encode(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.vocabulary, name)


def allows_any_spelling(vocabulary: Vocabulary) -> bool:
    """Must masks allow every spelling?"""
    return getattr(vocabulary, "allows_any_spelling", False)


def unforced(grammar: str) -> str:
    """The same grammar, told to the engine so that its masks allow every spelling.

    :param grammar: What one of the engine's ``grammar_from_...`` wrote, or Lark text; with options of its own or none.
    """
    lark = grammar
    if grammar.startswith("{"):
        inner = json.loads(grammar)["grammars"][0]
        lark = inner.get("lark_grammar") or f"start: %json {json.dumps(inner['json_schema'])}"
    first, _, rest = lark.lstrip().partition("\n")
    options = {"no_forcing": True}
    if first.startswith(_OPTIONS):
        options, lark = json.loads(first.removeprefix(_OPTIONS)) | options, rest
    return f"{_OPTIONS} {json.dumps(options)}\n{lark}"
