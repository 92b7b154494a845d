"""Every error of decodeplug, in one tree.

    DecodeplugError
    ├── BadOption               an option has a value that it cannot have
    ├── UnknownPart             no plugin offers a part of that name
    ├── NameTaken               two plugins offer the same name
    ├── IncompatibleParts       two parts of one recipe cannot work together
    ├── PluginError             a part failed; names the plugin and the call
    ├── UnsupportedModel        this model cannot be decoded, and why
    ├── ModelMissing            the model is not installed, and how to get it
    ├── VocabularyMismatch      the tokenizer does not belong to the model
    ├── BadLogits               the model gave NaN or nothing that may follow
    ├── ContextOverflow         the prompt does not fit the context window
    ├── CacheFull               the cache has reached its byte budget
    ├── BudgetTooSmall          no complete result fits max_new_tokens
    ├── UnsupportedSchema       a schema that cannot be enforced, and where
    ├── UnsupportedGrammar      a grammar or pattern that cannot be enforced
    ├── Unsatisfiable           a constraint that no text can satisfy
    ├── InvalidResult           the finished text failed its final check
    └── Cancelled               the caller cancelled the request

An error says who, what it got, what it wanted and the way out, and keeps
these facts as attributes, so that nobody has to parse prose.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BadLogits",
    "BadOption",
    "BudgetTooSmall",
    "CacheFull",
    "Cancelled",
    "ContextOverflow",
    "DecodeplugError",
    "IncompatibleParts",
    "InvalidResult",
    "ModelMissing",
    "NameTaken",
    "PluginError",
    "UnknownPart",
    "Unsatisfiable",
    "UnsupportedGrammar",
    "UnsupportedModel",
    "UnsupportedSchema",
    "VocabularyMismatch",
]


class DecodeplugError(Exception):
    """Whatever decodeplug raises on purpose derives from this."""


class BadOption(DecodeplugError, ValueError):
    """An option has a value that it cannot have.

    ``BadOption("min-p", ratio=2.0, wanted="a number in (0, 1]")`` keeps
    ``.part``, ``.options`` (name -> value given) and ``.wanted``.
    """

    def __init__(self, part: str, /, *, wanted: str, **options: object) -> None:
        self.part, self.options, self.wanted = part, options, wanted
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        super().__init__(f"{part}: {given}, but wanted {wanted}" if given else f"{part}: wanted {wanted}")


class UnknownPart(DecodeplugError, LookupError):
    """No plugin of this host offers a part of that name.

    Keeps ``.kind``, ``.name``, ``.known`` and ``.nearest`` (the best guesses).
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        self.nearest = tuple(difflib.get_close_matches(name, self.known, n=3, cutoff=0.4))
        hint = f"Did you mean {' or '.join(map(repr, self.nearest))}? " if self.nearest else ""
        super().__init__(f"there is no {kind} {name!r}. {hint}Known: {', '.join(self.known) or 'none'}")


class NameTaken(DecodeplugError):
    """Two distributions offer a part of one kind under the same name."""

    def __init__(self, kind: str, name: str, first: str, second: str) -> None:
        self.kind, self.name, self.first, self.second = kind, name, first, second
        super().__init__(
            f"{kind} {name!r} is offered by {first} and by {second}. Uninstall one of them, or block one with Host(..., plugins=['-{second}'])."
        )


class IncompatibleParts(DecodeplugError):
    """Two parts of one recipe cannot work together."""

    def __init__(self, part: str, other: str, *, because: str, instead: str) -> None:
        self.part, self.other, self.because, self.instead = part, other, because, instead
        super().__init__(f"{part} cannot work with {other}: {because}. {instead}.")


class PluginError(DecodeplugError):
    """A part failed while it was used.

    Keeps ``.plugin`` (the distribution), ``.part`` and ``.call``; the failure
    itself is ``__cause__``. Other requests of the batch go on.
    """

    def __init__(self, plugin: str, part: str, call: str, cause: BaseException) -> None:
        self.plugin, self.part, self.call = plugin, part, call
        super().__init__(f"{part} of plugin {plugin} failed in {call}: {type(cause).__name__}: {cause}")
        self.__cause__ = cause


class UnsupportedModel(DecodeplugError):
    """This model cannot be decoded. Keeps ``.model`` and ``.because``."""

    def __init__(self, model: str, *, because: str, instead: str = "") -> None:
        self.model, self.because, self.instead = model, because, instead
        super().__init__(f"{model} cannot be decoded: {because}." + (f" {instead}." if instead else ""))


class ModelMissing(DecodeplugError):
    """The model is not on this machine. ``.command`` is how to get it."""

    def __init__(self, model: str, command: str) -> None:
        self.model, self.command = model, command
        super().__init__(f"model {model!r} is not installed. Get it with: {command}")


class VocabularyMismatch(DecodeplugError, ValueError):
    """The tokenizer, or an assistant, does not belong to the model."""

    def __init__(
        self,
        tokenizer_size: int,
        model_size: int,
        *,
        because: str,
        who: str = "the tokenizer",
        instead: str = "Load both from the same folder or hub id",
    ) -> None:
        self.tokenizer_size, self.model_size, self.because = tokenizer_size, model_size, because
        super().__init__(
            f"{who} ({tokenizer_size} ids) does not fit the model ({model_size} logits): {because}. {instead}."
        )


class BadLogits(DecodeplugError):
    """The model gave NaN logits, or nothing that may follow has a finite score.

    ``.position`` is the index of the token that could not be chosen.
    """

    def __init__(self, position: int, *, because: str) -> None:
        self.position, self.because = position, because
        super().__init__(f"no token can be chosen at position {position}: {because}")


class ContextOverflow(DecodeplugError, ValueError):
    """The prompt, or the prompt and its budget, does not fit the window."""

    def __init__(
        self, prompt_tokens: int, max_new_tokens: int | None, context_window: int, *, stays: bool = False
    ) -> None:
        self.prompt_tokens, self.max_new_tokens, self.context_window = prompt_tokens, max_new_tokens, context_window
        asked = "at least one new token" if max_new_tokens is None else f"max_new_tokens={max_new_tokens}"
        super().__init__(
            f"what stays of the prompt, its system prompt, has {prompt_tokens} tokens; with {asked} that is more than the window of {context_window}. Shorten it, or ask for fewer tokens."
            if stays
            else f"the prompt has {prompt_tokens} tokens; with {asked} that is more than the context window of {context_window}. Shorten the prompt, ask for fewer tokens, or name a window_policy: truncate-left or sinks."
        )


class CacheFull(DecodeplugError, MemoryError):
    """The cache has reached its byte budget: ``.wanted_bytes``, ``.budget_bytes``.

    ``.lane`` is the place of the text that found no room, among those that are decoded together.
    """

    def __init__(self, wanted_bytes: int, budget_bytes: int, *, lane: int = 0) -> None:
        self.wanted_bytes, self.budget_bytes, self.lane = wanted_bytes, budget_bytes, lane
        super().__init__(
            f"the cache needs {wanted_bytes:,} bytes and may hold {budget_bytes:,}. Raise the budget, or decode fewer requests at once."
        )


class BudgetTooSmall(DecodeplugError, ValueError):
    """No complete result fits ``max_new_tokens``; ``.needed`` surely fits."""

    def __init__(self, budget: int, needed: int | None) -> None:
        self.budget, self.needed = budget, needed
        way_out = f"max_new_tokens={needed} is enough" if needed is not None else "Raise max_new_tokens"
        super().__init__(f"no complete result fits max_new_tokens={budget}. {way_out}.")


class UnsupportedSchema(DecodeplugError, ValueError):
    """A schema that cannot be enforced: ``.keyword``, ``.pointer``, ``.because``."""

    def __init__(self, keyword: str, pointer: str, *, because: str) -> None:
        self.keyword, self.pointer, self.because = keyword, pointer, because
        where = pointer or "the top of the schema"
        super().__init__(f"the schema cannot be enforced: {keyword or 'the schema'} at {where}: {because}")


class UnsupportedGrammar(DecodeplugError, ValueError):
    """A grammar or pattern that cannot be enforced: ``.line``, ``.column`` (from 1)."""

    def __init__(self, kind: str, *, because: str, line: int | None = None, column: int | None = None) -> None:
        self.kind, self.because, self.line, self.column = kind, because, line, column
        where = f" at line {line}, column {column}" if line is not None else ""
        super().__init__(f"the {kind} cannot be enforced{where}: {because}")


class Unsatisfiable(DecodeplugError, ValueError):
    """No text can satisfy the constraint."""

    def __init__(self, kind: str, *, because: str, pointer: str = "") -> None:
        self.kind, self.because, self.pointer = kind, because, pointer
        super().__init__(f"nothing can satisfy the {kind}{f' at {pointer}' if pointer else ''}: {because}")


class InvalidResult(DecodeplugError):
    """The finished text failed the final check, and is not returned as valid.

    Either a validator of a Python type refused it, which no schema can express, or
    what was enforced is not what was asked for, which is a bug of ours.
    ``.text`` is the text, ``.because`` what the check said.
    """

    def __init__(self, text: str, *, because: str) -> None:
        self.text, self.because = text, because
        super().__init__(f"the finished text failed its final check: {because}. Text: {text[:200]!r}")


class Cancelled(DecodeplugError):
    """The caller cancelled the request before it was finished."""

    def __init__(self, because: str = "cancelled by the caller") -> None:
        self.because = because
        super().__init__(because)
