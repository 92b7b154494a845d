"""Compile a grammar for a vocabulary once, and hand out cheap copies of it."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from decodeplug.constraints.any_spelling import allows_any_spelling, unforced
from decodeplug.constraints.masks import MaskConstraint
from decodeplug.constraints.matcher import Source
from decodeplug.contracts import Vocabulary
from decodeplug.errors import BadOption, DecodeplugError, Unsatisfiable, UnsupportedGrammar

__all__ = ["EngineVocabulary", "Once", "compile_grammar", "expression_in", "first_line", "with_engine"]

T = TypeVar("T")

# Defaults of the engine where not given: a compilation may take about 20 ms of lexer work, one mask
# 15 ms. A lexer state costs 1-2 kB, so the default of 250,000 of them would be half a gigabyte.
_LIMITS = LLParserLimits(max_lexer_states=50_000, verbose_errors=False)


class EngineVocabulary(Vocabulary, Protocol):
    """A vocabulary that also knows the mask engine's side; ``decodeplug.vocabulary`` has it."""

    fingerprint: str
    never_allowed: frozenset[int]
    never_index: np.ndarray

    def engine(self) -> LLTokenizer: ...
    def special_id(self, name: str) -> int | None: ...


class Once(Generic[T]):
    """A bounded, thread-safe memo: each key is made once, also when several threads ask at once.

    What fails is not kept, so the next caller tries again.

    :param capacity: Values kept; the longest unused goes first.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of ``key``; ``make`` is called by the first who asks, the others wait."""
        with self._lock:
            value = self._values.get(key)
            mine = value is None
            if value is None:
                value = self._values[key] = Future()
                if len(self._values) > self._capacity:
                    self._values.popitem(last=False)
            else:
                self._values.move_to_end(key)
        if mine:
            try:
                value.set_result(make())
            except BaseException as error:
                value.set_exception(error)
                with self._lock:
                    if self._values.get(key) is value:
                        del self._values[key]
        return value.result()

    def __len__(self) -> int:
        return len(self._values)


class _Source:
    """Matchers of one grammar for one vocabulary, copied from one that is never moved."""

    def __init__(self, root: LLMatcher, make: Callable[[], LLMatcher]) -> None:
        self._root: LLMatcher | None = root
        self.build = 0
        self._make = make
        self._lock = threading.Lock()

    def copy(self) -> tuple[LLMatcher, int]:
        with self._lock:
            if self._root is None:
                self._root = self._make()
            return self._root.deep_copy(), self.build

    def spoil(self, build: int) -> None:
        with self._lock:
            if build == self.build:
                self._root, self.build = None, build + 1


_COMPILED: Once[_Source] = Once(128)


def expression_in(grammar: str) -> str:
    """The expression that a grammar of a single terminal consists of."""
    return json.loads(grammar)["grammars"][0]["lark_grammar"].removeprefix("start: ")


def first_line(message: str) -> str:
    """The first line of an engine's message: what comes after it are dumps."""
    return message.strip().partition("\n")[0]


def compile_grammar(
    kind: str,
    key: Hashable,
    vocabulary: Vocabulary,
    grammar: Callable[[], str],
    refusal: Callable[[str], Exception],
    probe: bool = False,
) -> MaskConstraint:
    """A constraint of its own for one request, from a compilation that requests share.

    The first compilation costs a few ms, every other with an equal key and vocabulary a copy (some us).

    :param kind: The constraint's name in errors.
    :param grammar: Writes the engine's grammar; called only if nothing is cached.
    :param refusal: The error for what the engine says when it refuses the grammar.
    :param probe: Try a few tokens before use: for grammars that may explode only later.
    :raises BadOption: The vocabulary does not know the engine's tokenizer.
    :raises Unsatisfiable: No token may come first, and the empty text is not accepted.
    :raises UnsupportedGrammar: The grammar exceeds the engine's limits.
    """
    known = with_engine(kind, vocabulary)
    cached = (kind, key, known.fingerprint)
    shared = _COMPILED.get(cached, lambda: _compile(kind, known, grammar, refusal, probe))
    return _constraint(kind, key, known, shared)


def with_engine(kind: str, vocabulary: Vocabulary) -> EngineVocabulary:
    """The vocabulary, which must know the mask engine's side.

    :raises BadOption: It does not.
    """
    if not hasattr(vocabulary, "engine"):  # a protocol check would call properties
        raise BadOption(kind, vocabulary=type(vocabulary).__name__, wanted="a decodeplug.vocabulary.Vocabulary")
    return cast(EngineVocabulary, vocabulary)


def _constraint(kind: str, key: Hashable, vocabulary: EngineVocabulary, source: Source) -> MaskConstraint:
    any_spelling, engine = allows_any_spelling(vocabulary), vocabulary.engine()
    return MaskConstraint(
        kind,
        origin=(kind, key, vocabulary.fingerprint),
        source=source,
        size=vocabulary.size,
        engine_size=engine.vocab_size,
        never=vocabulary.never_allowed,
        never_index=vocabulary.never_index,
        end=engine.eos_token,
        spell=lambda text: (engine.tokenize_str if any_spelling else engine.greedy_tokenize)(text),
        any_spelling=any_spelling,
    )


def _compile(
    kind: str,
    vocabulary: EngineVocabulary,
    grammar: Callable[[], str],
    refusal: Callable[[str], Exception],
    probe: bool,
) -> _Source:
    try:
        plain = grammar()
        text = unforced(plain) if allows_any_spelling(vocabulary) else plain
        root = LLMatcher(vocabulary.engine(), text, log_level=0, limits=_LIMITS)
    except DecodeplugError:
        raise
    except ValueError as error:
        raise refusal(str(error)) from None
    if root.is_error():
        # What is wrong with the grammar itself is best said without our wrapping.
        bare = root if text is plain else LLMatcher(vocabulary.engine(), plain, log_level=0, limits=_LIMITS)
        raise refusal(bare.get_error() or root.get_error())
    source = _Source(root, lambda: LLMatcher(vocabulary.engine(), text, log_level=0, limits=_LIMITS))
    trial = _constraint(kind, None, vocabulary, source)
    state: Any = trial.start()
    if not trial.is_accepting(state) and not trial.allowed(state).any():
        raise Unsatisfiable(kind, because="no text at all satisfies it")
    if probe:
        _probe(kind, trial, state)
    return source


def _probe(kind: str, trial: MaskConstraint, state: Any, tokens: int = 64) -> None:
    """Walk at random for a while; a pattern that explodes does so within a few dozen tokens.

    :raises UnsupportedGrammar: It exploded.
    """
    random = np.random.default_rng(0)  # the same walk every time: a pattern is refused always or never
    for _ in range(tokens):
        choices = np.flatnonzero(trial.allowed(state).numpy())
        if len(choices) == 0:
            return
        after = trial.advance(state, int(random.choice(choices)))
        if after is None:
            raise UnsupportedGrammar(kind, because="the mask engine allowed a token and then refused it")
        state = after
