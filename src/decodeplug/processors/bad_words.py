"""Token sequences that must not be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.processors.option_checks import token_ids
from decodeplug.processors.scatter import forbid
from decodeplug.processors.sequences import Endings, endings_of, find_completions, refuse_unknown_ids
from decodeplug.values import Seen, Stage

__all__ = ["BadWords"]


@dataclass(frozen=True, slots=True)
class BadWords:
    """Forbid every token that would complete one of some sequences.

    Equal to transformers' ``NoBadWordsLogitsProcessor``, but that it is not told which
    ids end a text: a sequence of one end id forbids it here, and is passed over there.
    A word has other ids in the middle of a text than at its start; give both.

    :param bad_words_ids: Sequences of token ids; one id alone is a sequence of one.
    :raises BadOption: It is empty, or holds an empty sequence or something else than
        whole numbers from 0 on; when called: an id that the model does not have.
    Source: transformers 5.24, ``generation/logits_process.py``.
    """

    bad_words_ids: Sequence[int | Sequence[int]]
    _endings: Endings = field(init=False, repr=False, compare=False)
    _highest: int = field(init=False, repr=False, compare=False)
    name: ClassVar[str] = "bad-words"
    stage: ClassVar[Stage] = Stage.HARD
    keeps_argmax: ClassVar[bool] = False

    def __post_init__(self) -> None:
        given = self.bad_words_ids
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise BadOption(self.name, bad_words_ids=given, wanted="sequences of token ids, at least one")
        words = tuple(token_ids(self.name, bad_words_ids=word) for word in given)
        if not all(words):
            raise BadOption(self.name, bad_words_ids=given, wanted="at least one token in each sequence")
        object.__setattr__(self, "bad_words_ids", words)
        object.__setattr__(self, "_endings", endings_of(dict.fromkeys(words, 0.0)))
        object.__setattr__(self, "_highest", max(map(max, words)))

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return scores with the completing tokens at ``-inf``.

        :param scores: ``[rows, vocab]`` natural log; not modified.
        :param seen: The prefix of each row.
        :raises BadOption: A forbidden id is not below ``vocab``.
        """
        refuse_unknown_ids(self.name, self._highest, scores.shape[-1])
        # Prefixes cost something to build: single tokens do not look at them.
        prefixes = seen.ids if set(self._endings) != {0} else [()] * len(seen)
        return forbid(scores, [{token for token, _ in find_completions(self._endings, ids)} for ids in prefixes])
