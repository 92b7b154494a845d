"""Which token sequences a prefix is about to complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from decodeplug.errors import BadOption

__all__ = ["Endings", "endings_of", "find_completions", "refuse_unknown_ids"]

Endings = Mapping[int, Mapping[tuple[int, ...], Sequence[tuple[int, float]]]]
"""Length of the beginning -> beginning -> (last token, value) of each sequence that begins so."""


def endings_of(sequences: Mapping[tuple[int, ...], float]) -> Endings:
    """Sort sequences by their beginnings: all tokens but the last."""
    endings: dict[int, dict[tuple[int, ...], list[tuple[int, float]]]] = {}
    for (*beginning, last), value in sequences.items():
        endings.setdefault(len(beginning), {}).setdefault(tuple(beginning), []).append((last, value))
    return endings


def find_completions(endings: Endings, ids: Sequence[int]) -> Iterator[tuple[int, float]]:
    """The tokens that would complete a sequence after ``ids``, with the values of these sequences."""
    for length, by_beginning in endings.items():
        if length <= len(ids):
            yield from by_beginning.get(tuple(ids[len(ids) - length :]), ())


def refuse_unknown_ids(part: str, highest: int, vocab: int) -> None:
    """Refuse ids that the model has no score for: they come from another tokenizer.

    :raises BadOption: ``highest`` is not below ``vocab``.
    """
    if highest >= vocab:
        raise BadOption(part, token=highest, wanted=f"token ids below {vocab}, the width of the model's logits")
