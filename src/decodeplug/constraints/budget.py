"""``max_new_tokens`` as a promise: the text is complete within it, or refused before the first token."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from decodeplug.constraints.compiled import Once
from decodeplug.constraints.token_texts import single_bytes, token_texts
from decodeplug.constraints.witness import Search
from decodeplug.constraints.witnessed import Witnessed
from decodeplug.contracts import Constraint, Vocabulary

__all__ = ["known_text", "search_for", "within_budget"]


class _Text(NamedTuple):
    """A text of a constraint: its ids and its bytes."""

    ids: tuple[int, ...]
    text: bytes


_TEXTS: Once[_Text | None] = Once(256)


def within_budget(constraint: Constraint, key: Hashable, vocabulary: Vocabulary, budget: int) -> Constraint | None:
    """The constraint, held to a budget of tokens; None if no text of it is found, so that nothing can be promised.

    :param key: Equal for equal constraints: the text that is found is kept by it.
    :raises BudgetTooSmall: The shortest text that was found has more tokens.
    """
    if isinstance(constraint, Witnessed):
        return constraint.within(budget)
    search, reader = search_for(constraint, vocabulary), _reader(constraint, vocabulary)
    first = _first(search, constraint, key, vocabulary)
    return None if first is None else Witnessed(constraint, search, first.ids, reader, budget, first.text)


def known_text(constraint: Constraint, key: Hashable, vocabulary: Vocabulary) -> tuple[int, ...] | None:
    """Ids of a text that a constraint allows, few of them; None if none was found."""
    if isinstance(constraint, Witnessed):
        return constraint.witness
    first = _first(search_for(constraint, vocabulary), constraint, key, vocabulary)
    return None if first is None else first.ids


def search_for(
    constraint: Constraint,
    vocabulary: Vocabulary,
    judge: Callable[[bytes], bool] | None = None,
    hints: Sequence[bytes] = (),
    mend: Callable[[bytes], Iterator[Any]] | None = None,
) -> Search:
    """A search for ends of a constraint's texts; the rest is as ``Search`` says."""
    engine = getattr(vocabulary, "engine", None)
    spell = _speller(vocabulary) if engine is None else engine().tokenize_bytes
    singles = single_bytes(vocabulary, spell)
    return Search(constraint, _reader(constraint, vocabulary), spell, singles, judge, hints, mend)


def _reader(constraint: Constraint, vocabulary: Any) -> Callable[[int], bytes]:
    """What an id stands for; special ones that the constraint allows, for their names."""
    spoken = getattr(constraint, "spoken_ids", frozenset[int]())
    if not spoken:
        return vocabulary.token_bytes
    names = {token: vocabulary.decode([token], spoken).encode() for token in spoken}
    return lambda token: names.get(token) or vocabulary.token_bytes(token)


def _speller(vocabulary: Vocabulary) -> Callable[[bytes], list[int]]:
    texts = token_texts(vocabulary)
    return lambda text: texts.spell(text) or []


def _first(search: Search, constraint: Constraint, key: Hashable, vocabulary: Vocabulary) -> _Text | None:
    def find() -> _Text | None:
        ids = search.first(constraint.start())
        return None if ids is None else _Text(ids, b"".join(map(_reader(constraint, vocabulary), ids)))

    fingerprint = getattr(vocabulary, "fingerprint", None)
    if fingerprint is None:
        return find()
    return _TEXTS.get((key, fingerprint), find)
