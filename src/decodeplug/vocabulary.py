"""Which bytes each id stands for: the tokenizer, as constraints and final texts see it.

A constraint speaks of bytes; the model speaks of ids. Everything that depends on how a
tokenizer spells bytes (byte-level alphabets, SentencePiece's ``▁`` and ``<0x0A>``) is known
here and nowhere else.
"""

from __future__ import annotations

import copy
import hashlib
import re
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from llguidance import LLTokenizer, TokenizerWrapper
from tokenizers import Tokenizer

from decodeplug.errors import BadOption, UnsupportedModel, VocabularyMismatch

__all__ = ["Vocabulary", "check_fits", "tokenizer_size"]

_END_OF_ENGINE = "<|end of constrained text|>"
_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SAMPLES = 200


def tokenizer_size(tokenizer: Any) -> int:
    """One more than the largest id; more than ``len(tokenizer)`` where added ids leave a gap."""
    return max(len(tokenizer), 1 + max(getattr(tokenizer, "added_tokens_decoder", {}), default=-1))


def check_fits(tokenizer: Any, vocab_size: int) -> None:
    """Refuse a tokenizer that does not belong to the model.

    Padded logits (more of them than ids) are usual and fine; the reverse never is.

    :param vocab_size: Width of the model's logits.
    :raises VocabularyMismatch: The tokenizer has ids for which the model has no logit.
    """
    size = tokenizer_size(tokenizer)
    if size > vocab_size:
        raise VocabularyMismatch(size, vocab_size, because=f"ids {vocab_size} to {size - 1} have no logit")


class Vocabulary:
    """A Hugging Face tokenizer as constraints see it. Implements ``contracts.Vocabulary``.

    Nothing expensive happens before the first constraint is compiled: the mask engine's
    tokenizer (a second for 49,152 ids) is built once, on first use, by whichever thread
    comes first. The tokenizer must not be changed afterwards.

    :param tokenizer: Fast, or slow if its tokens can be read as bytes; not modified.
    :param logits_width: Width of the model's logits; may be padded.
    :param end_ids: All ids that end a text.
    :raises BadOption: An end id has no logit.
    :ivar size: Ids a constraint may speak of; padded logits are not among them.
    """

    def __init__(self, tokenizer: Any, logits_width: int, end_ids: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.tokenizer_size = tokenizer_size(tokenizer)
        self.size = min(self.tokenizer_size, logits_width)
        self.end_ids = frozenset(end_ids)
        if wrong := [token for token in self.end_ids if not 0 <= token < logits_width]:
            raise BadOption("vocabulary", end_ids=wrong, wanted=f"ids below {logits_width}, the width of the logits")
        self._lock = threading.Lock()
        self._engine: LLTokenizer | None = None
        self._token_bytes: dict[int, bytes] = {}

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids that are no text: beginnings, ends, padding, roles. A constrained text never has them."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return frozenset(self.tokenizer.all_special_ids).union(i for i, token in added.items() if token.special)

    @cached_property
    def _special_names(self) -> dict[int, str]:
        """The special ids that an added token names, with their names."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        return {token: entry.content for token, entry in added.items() if token in self.special_ids}

    @cached_property
    def never_allowed(self) -> frozenset[int]:
        """Ids below ``size`` that no constraint allows: end ids and special ids."""
        return frozenset(token for token in self.end_ids | self.special_ids if 0 <= token < self.size)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for vocabularies that spell alike: compiled constraints are cached by it."""
        content = f"{self._content()}|{self.size}|{sorted(self.end_ids)}|{sorted(self.special_ids)}"
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    def _content(self) -> str:
        backend = _backend(self.tokenizer)
        if backend is not None:
            return backend.to_str()
        return f"{type(self.tokenizer).__qualname__}|{sorted(self.tokenizer.get_vocab().items())}"

    def engine(self) -> LLTokenizer:
        """The mask engine's reading of the tokenizer.

        :raises UnsupportedModel: The tokens cannot be read as bytes.
        """
        if self._engine is None:
            with self._lock:
                if self._engine is None:
                    self._engine = self._build()
        return self._engine

    def _build(self) -> LLTokenizer:
        backend = _backend(self.tokenizer)
        inside = (token for token in (*self.end_ids, *self.special_ids) if 0 <= token < self.tokenizer_size)
        end = min(inside, default=None)
        if backend is None:
            return _engine_from_bytes(self.tokenizer, self.tokenizer_size, self.special_ids, end)
        backend = copy.deepcopy(backend)
        backend.no_padding()
        backend.no_truncation()
        if end is None:  # the engine needs one; an id behind all others is never allowed
            backend.add_special_tokens([_END_OF_ENGINE])
            end = backend.token_to_id(_END_OF_ENGINE)
        try:
            return LLTokenizer(backend.to_str(), eos_token=end)
        except ValueError:  # a pre-tokenizer or model that the engine does not know: go by the bytes
            return _engine_from_bytes(self.tokenizer, self.tokenizer_size, self.special_ids, end)

    def special_id(self, name: str) -> int | None:
        """The id of the special token of this name, for a constraint that speaks of it.

        :returns: None where the name is ordinary text, or ends a text.
        """
        named = (token for token, own in self._special_names.items() if own == name)
        return next((token for token in named if token < self.size and token not in self.end_ids), None)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that ``token`` adds to a text; none for special and padded ids.

        A SentencePiece token keeps its leading space, also at the beginning of a text.
        """
        known = self._token_bytes.get(token)
        if known is None:
            known = self._token_bytes[token] = self._bytes([token])
        return known

    def decode(self, ids: Iterable[int], spoken: Container[int] = ()) -> str:
        """What the ids say, byte for byte; incomplete characters become U+FFFD.

        Unlike the tokenizer's own ``decode`` it never strips a space, so a text that
        satisfies a constraint is returned as it was allowed.

        :param spoken: Special ids that stand for their names; all others say nothing.
        """
        return self._bytes(ids, spoken).decode("utf-8", "replace")

    def _bytes(self, ids: Iterable[int], spoken: Container[int] = ()) -> bytes:
        engine, special = self.engine(), self.special_ids
        size = min(self.tokenizer_size, engine.vocab_size)
        pieces: list[bytes] = []
        text: list[int] = []
        for token in ids:
            if token in spoken:
                pieces += (engine.decode_bytes(text), self._special_names[token].encode())
                text = []
            elif 0 <= token < size and token not in special:
                text.append(token)
        return b"".join((*pieces, engine.decode_bytes(text)))

    def encode(self, text: str, spoken: Container[int] = ()) -> list[int]:
        """Ids that spell exactly ``text``: the tokenizer's own where they do, else the longest that fit.

        The tokenizer's own ids may not spell the text (an added leading space, a special
        token's name read as the token).

        :param spoken: Special ids that stand for their names; no other special id is returned.
        :raises BadOption: These ids cannot spell the text, or it has lone surrogates.
        """
        try:
            wanted = text.encode()
        except UnicodeEncodeError as error:
            raise BadOption(
                "vocabulary", text=text[error.start : error.end], wanted="text without surrogates"
            ) from None
        ids = list(self.tokenizer.encode(text, add_special_tokens=False))
        if self._spells(ids, wanted, spoken):
            return ids
        engine = self.engine()
        for spell in (engine.tokenize_str, engine.greedy_tokenize):
            ids = list(spell(text))
            if self._spells(ids, wanted):
                return ids
        raise BadOption("vocabulary", text=text[:80], wanted="text that the tokenizer's ids can spell")

    def _spells(self, ids: Sequence[int], wanted: bytes, spoken: Container[int] = ()) -> bool:
        special = self.special_ids
        if any((token in special and token not in spoken) or token >= self.size for token in ids):
            return False
        return self._bytes(ids, spoken) == wanted

    @cached_property
    def never_index(self) -> np.ndarray:
        """``never_allowed`` as an index array, int64."""
        return np.fromiter(sorted(self.never_allowed), dtype=np.int64)


def _backend(tokenizer: Any) -> Tokenizer | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend if isinstance(backend, Tokenizer) else None


class _Spelled:
    """What the engine wants to know of a tokenizer that it cannot read itself."""

    def __init__(self, tokens: list[bytes], special: list[int], end: int, encode: Callable[[str], list[int]]) -> None:
        self.tokens, self.special_token_ids, self.eos_token_id = tokens, special, end
        self.bos_token_id = None
        self._encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def _engine_from_bytes(tokenizer: Any, size: int, special: frozenset[int], end: int | None) -> LLTokenizer:
    """Build the engine's tokenizer from the bytes of each token."""
    names = [tokenizer.convert_ids_to_tokens(token) if token not in special else None for token in range(size)]
    spell = _spelling(names)
    tokens = [f"<[{token}]>".encode() if name is None else spell(name) for token, name in enumerate(names)]
    unused = [token for token, name in enumerate(names) if name is None]
    _check_spelling(tokenizer, tokens, [token for token in range(size) if names[token] is not None])
    if end is None:
        tokens.append(_END_OF_ENGINE.encode())
        unused.append(end := size)
    spelled = _Spelled(tokens, unused, end, lambda text: list(tokenizer.encode(text, add_special_tokens=False)))
    return LLTokenizer(TokenizerWrapper(spelled), eos_token=end)


def _spelling(names: Sequence[str | None]) -> Callable[[str], bytes]:
    """How this tokenizer writes bytes in the names of its tokens, told from all names together."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    alphabet = {chr(byte) if byte in printable else chr(next(others)): byte for byte in range(256)}
    known = [name for name in names if name]
    pieces = any("▁" in name or _BYTE_FALLBACK.fullmatch(name) for name in known)
    if not pieces and all(char in alphabet for name in known for char in name):
        return lambda name: bytes(alphabet[char] for char in name)

    def piece(name: str) -> bytes:
        fallback = _BYTE_FALLBACK.fullmatch(name) if pieces else None
        return bytes([int(fallback[1], 16)]) if fallback else name.replace("▁", " ").encode("utf-8", "surrogatepass")

    return piece


def _check_spelling(tokenizer: Any, tokens: Sequence[bytes], text_ids: Sequence[int]) -> None:
    """Compare the bytes with what the tokenizer itself makes of single tokens.

    :raises UnsupportedModel: They differ by more than a leading space.
    """
    for token in text_ids[:: max(1, len(text_ids) // _SAMPLES)]:
        ours = tokens[token].decode("utf-8", "replace")
        theirs = tokenizer.decode([token], clean_up_tokenization_spaces=False)
        if "\ufffd" not in ours and ours.removeprefix(" ") != theirs.removeprefix(" "):
            raise UnsupportedModel(
                type(tokenizer).__name__,
                because=f"its tokens cannot be read as bytes, which constraints need (id {token} is {theirs!r}, read as {ours!r})",
                instead="Use the fast version of the tokenizer, or decode without constraint",
            )
