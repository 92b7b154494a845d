"""From a request's reference to ids: the texts that its output may repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeGuard

from decodeplug.errors import BadOption

__all__ = ["Text", "encoder", "reference_ids", "reference_texts"]

Text = str | tuple[int, ...]
Encode = Callable[[str], list[int]]

_WANTED = "a text, token ids, or a list of these"


def encoder(tokenizer: Any) -> Encode | None:
    """Text to ids, without special tokens; None where there is no tokenizer."""
    return None if tokenizer is None else partial(_encoded, tokenizer)


def reference_texts(reference: Any) -> tuple[Text, ...]:
    """The texts of a reference, in order; those with nothing in them are left out.

    :param reference: A text, ids (a tensor or an array of them too), a list of these, or None.
    :raises BadOption: It is of no such form.
    """
    reference = _plain(() if reference is None else reference)
    given = [reference] if isinstance(reference, str) or _are_ids(reference) else reference
    if not isinstance(given, list | tuple):
        raise BadOption("request", reference=reference, wanted=_WANTED)
    return tuple(text for text in map(_text, given) if text)


def reference_ids(texts: Sequence[Text], encode: Encode | None, vocab_size: int) -> tuple[tuple[int, ...], ...]:
    """The ids of each text.

    :raises BadOption: A text where there is no tokenizer, or that the tokenizer refuses; ids that the
        model does not know.
    """
    return tuple(_ids(text, encode, vocab_size) for text in texts)


def _text(given: Any) -> Text:
    text = _plain(given)
    if isinstance(text, str):
        return text
    if not _are_ids(text):
        raise BadOption("request", reference=given, wanted=_WANTED)
    return tuple(text)


def _ids(text: Text, encode: Encode | None, vocab_size: int) -> tuple[int, ...]:
    if isinstance(text, tuple):
        wrong = [token for token in text if not 0 <= token < vocab_size]
        if wrong:
            raise BadOption("reference", ids=wrong[:5], wanted=f"ids from 0 to {vocab_size - 1}, which the model knows")
        return text
    if encode is None:
        wanted = "token ids, since this host has no tokenizer: Host(model, tokenizer)"
        raise BadOption("reference", reference=text, wanted=wanted)
    try:
        return tuple(encode(text))
    except Exception as error:
        wanted = f"a text that the tokenizer takes: {type(error).__name__}: {error}"
        raise BadOption("reference", wanted=wanted) from error


def _encoded(tokenizer: Any, text: str) -> list[int]:
    # The model does not read it: that it is longer than the context window is nothing to warn of.
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _plain(values: Any) -> Any:
    """A list in place of a tensor or an array."""
    return values.tolist() if hasattr(values, "tolist") else values


def _are_ids(values: Any) -> TypeGuard[Sequence[int]]:
    if not isinstance(values, list | tuple):
        return False
    return all(isinstance(item, int) and not isinstance(item, bool) for item in values)
