"""Compile a grammar for a vocabulary once, and give every request matchers of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any

from decodeplug.constraints.compiled import EngineVocabulary, Once, with_engine
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.token_texts import token_texts
from decodeplug.plugin import BadOption, DecodeplugError, Unsatisfiable, Vocabulary
from xgrammar import Grammar, GrammarCompiler, TokenizerInfo

from decodeplug_xgrammar.matcher import Compiled

__all__ = ["compile_grammar", "last_line"]

_THREADS = 8  # XGrammar's own default

_TOKENIZERS: Once[TokenizerInfo] = Once(8)
_COMPILED: Once[Compiled] = Once(128)


def compile_grammar(
    kind: str,
    key: Hashable,
    vocabulary: Vocabulary,
    grammar: Callable[[], Grammar],
    refusal: Callable[[str], DecodeplugError],
) -> MaskConstraint:
    """A constraint of its own for one request, from a compilation that requests share.

    :param kind: The constraint's name in errors.
    :param grammar: Writes the grammar; called only if nothing is cached.
    :param refusal: The error for what XGrammar says when it refuses the grammar.
    :raises BadOption: The vocabulary is none of a host's.
    :raises Unsatisfiable: No token may come first, and the empty text is not accepted.
    """
    known = with_engine(kind, vocabulary)
    cached = (kind, key, known.fingerprint)
    compiled = _COMPILED.get(cached, lambda: _compile(kind, known, grammar, refusal))
    return _constraint(kind, cached, known, compiled)


def _compile(
    kind: str, vocabulary: EngineVocabulary, grammar: Callable[[], Grammar], refusal: Callable[[str], DecodeplugError]
) -> Compiled:
    try:
        threads = min(_THREADS, os.cpu_count() or 1)
        compiler = GrammarCompiler(_tokenizer(vocabulary), max_threads=threads, cache_enabled=False)
        compiled = Compiled(compiler.compile_grammar(grammar()))
    except DecodeplugError:
        raise
    except RuntimeError as error:
        raise refusal(last_line(error)) from None
    trial = _constraint(kind, None, vocabulary, compiled)
    try:
        trial.allowed(trial.start())
    except Unsatisfiable:
        raise Unsatisfiable(kind, because="no text at all satisfies it") from None
    return compiled


def _constraint(kind: str, origin: Hashable, vocabulary: EngineVocabulary, compiled: Compiled) -> MaskConstraint:
    return MaskConstraint(
        kind,
        origin=origin,
        source=compiled,
        size=vocabulary.size,
        engine_size=vocabulary.size + 1,
        never=vocabulary.never_allowed,
        never_index=vocabulary.never_index,
        end=vocabulary.size,
        spell=lambda text: _spell(vocabulary, text),
        any_spelling=True,
    )


def _spell(vocabulary: EngineVocabulary, text: str) -> list[int]:
    """Ids of a text; empty if the vocabulary cannot spell it."""
    try:
        return vocabulary.encode(text)
    except BadOption:
        return []


def _tokenizer(vocabulary: EngineVocabulary) -> TokenizerInfo:
    """The bytes of all ids, as XGrammar wants them: ids that are no text are empty, and one more id is the end.

    The end is an id behind all others because which real ids end a text is the loop's business.
    """
    own: Any = getattr(vocabulary, "vocabulary", vocabulary)  # a view of a vocabulary has the same tokens

    def made() -> TokenizerInfo:
        texts = [*token_texts(own).texts, b""]
        return TokenizerInfo(texts, vocab_size=len(texts), stop_token_ids=[len(texts) - 1])

    return _TOKENIZERS.get(own.fingerprint, made)


def last_line(error: Exception) -> str:
    """What XGrammar said, without the place in its own source that it begins with."""
    line = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return line.rpartition(".cc:")[2].partition(": ")[2].strip() or line.strip()
