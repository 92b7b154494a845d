"""The values that travel round the loop. None of them knows a part."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "NOTHING_SEEN",
    "NO_DRAFT",
    "Draft",
    "Extension",
    "LaneView",
    "Opening",
    "Record",
    "Seen",
    "Stage",
    "ToolCall",
    "ToolCalls",
]


class Stage(enum.IntEnum):
    """Where in the chain a processor stands; lower runs first.

    Within one stage processors run in the order in which they were named. The
    constraint's mask is applied between ``PENALTY`` and ``HARD``.
    """

    PENALTY = 10
    """Moves scores without removing tokens: repetition penalties, biases."""
    HARD = 20
    """Forbids tokens outright: bad words, n-gram bans, minimum length."""
    TEMPERATURE = 30
    """Scales the scores."""
    TRUNCATE = 40
    """Cuts the tail of the distribution: top-k, top-p, min-p."""


class Seen:
    """What each row has seen: the prefix whose next token is being scored.

    ``seen.ids[row]`` is the row's prefix (prompt, then what was generated, then
    the drafted tokens before this row), ``seen.prompt_lengths[row]`` how many
    of those ids are prompt. Prefixes are built on first use, so a processor that
    does not look at them costs nothing.
    """

    def __init__(self, ids: Callable[[], list[list[int]]], prompt_lengths: Sequence[int]) -> None:
        self._ids = ids
        self.prompt_lengths = prompt_lengths

    @classmethod
    def of(cls, ids: Sequence[Sequence[int]], prompt_lengths: Sequence[int] | None = None) -> Seen:
        """What rows with these prefixes have seen; all of it prompt unless said otherwise."""
        rows = [list(row) for row in ids]
        return cls(lambda: rows, [len(row) for row in rows] if prompt_lengths is None else prompt_lengths)

    @classmethod
    def nothing(cls, rows: int) -> Seen:
        """Rows that have seen nothing."""
        return cls.of([[] for _ in range(rows)])

    @cached_property
    def ids(self) -> list[list[int]]:
        return self._ids()

    def __len__(self) -> int:
        return len(self.prompt_lengths)

    def __getitem__(self, rows: slice) -> Seen:
        """What a slice of the rows has seen."""
        return Seen(lambda: self.ids[rows], self.prompt_lengths[rows])


NOTHING_SEEN = Seen.nothing(0)


@dataclass(frozen=True, slots=True)
class Draft:
    """Proposed tokens. A draft is only a guess.

    :ivar tokens: The proposed ids, first one first.
    :ivar sources: For each token, the name of the drafter that proposed it.
    :ivar probabilities: For each token the distribution that it was drawn from, ``[vocab]``, or None for
        one that was not drawn at random: it follows from the text before it. Empty: none of them was.
    :ivar confidence: For each token how probable the drafter takes it to be that it is kept where those before it
        are, from 0 to 1, or None where it does not say. Empty: it says so of none.
    :ivar paid: Drafters, and what it took each of them to make it, tokens that were cut included, in forwards of
        width 1. The chain notes it, by their prices.
    """

    tokens: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    probabilities: tuple[Tensor | None, ...] = ()
    confidence: tuple[float | None, ...] = ()
    paid: tuple[tuple[str, float], ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def __add__(self, other: Draft) -> Draft:
        laws, confidence, count = self.probabilities, self.confidence, len(self.tokens)
        if other.probabilities:
            laws = (*laws, *[None] * (count - len(laws)), *other.probabilities)
        if other.confidence:
            confidence = (*confidence, *[None] * (count - len(confidence)), *other.confidence)
        paid = self.paid + other.paid
        return Draft(self.tokens + other.tokens, self.sources + other.sources, laws, confidence, paid)

    def first(self, count: int) -> Draft:
        """The first ``count`` tokens."""
        if count >= len(self.tokens):
            return self
        laws, confidence = self.probabilities[:count], self.confidence[:count]
        return Draft(self.tokens[:count], self.sources[:count], laws, confidence, self.paid)

    @property
    def drawn(self) -> int:
        """Tokens up to the last that was drawn. To cut these would be to draw again: see ``walk.cut_draft``."""
        return max((index + 1 for index, law in enumerate(self.probabilities) if law is not None), default=0)

    def was_drawn(self, index: int) -> bool:
        """Was this token drawn from a distribution, and not simply proposed?"""
        return index < len(self.probabilities) and self.probabilities[index] is not None

    def confidence_of(self, index: int) -> float | None:
        """How sure the drafter is of a token; None where it does not say."""
        return self.confidence[index] if index < len(self.confidence) else None


NO_DRAFT = Draft()
_SUREST = 0.99  # that a guess is right


@dataclass(frozen=True, slots=True)
class Record:
    """How a drafter has done in one lane so far.

    :ivar drafted: Tokens proposed. :ivar kept: Tokens of those that were kept. :ivar saved: Forwards of width 1 that it
        has saved, less what it cost.
    :ivar trials: Tokens that were judged, old ones counting less. :ivar hits: Those that were right. :ivar expected: How
        many should have been, by their confidence; of those without, those that were. They fade while it is not used: it is tried again.
    """

    drafted: int = 0
    kept: int = 0
    trials: float = 0.0
    hits: float = 0.0
    expected: float = 0.0
    saved: float = 0.0

    def rate(self, prior: float, confidence: float | None = None) -> float:
        """How probable it is that a token of it will be kept.

        :param prior: What is expected at first; counts as two trials.
        :param confidence: How sure the drafter is of the token: trusted as far as it was justified so far. At first it
            and the prior count as three trials each.
        """
        if confidence is None:
            return (self.hits + 2 * prior) / (self.trials + 2)
        rate = (self.hits + 3 * (prior + confidence)) / (self.trials + 6)
        return confidence and min(confidence * (self.hits + 6 * rate) / (self.expected + 6 * confidence), _SUREST)


@dataclass(frozen=True, slots=True)
class LaneView:
    """What a drafter may know of a lane: a value, which it does not change.

    :ivar ids: All committed ids, prompt first.
    :ivar prompt_length: How many of them are prompt.
    :ivar constraint: The compiled constraint, or None.
    :ivar state: The constraint's state after ``ids``.
    :ivar records: How each drafter has done in this lane, by name.
    :ivar cost: Relative cost of a forward over ``n`` positions, ``cost(1) == 1``.
    :ivar seed: The request's seed and the hypothesis's number: the noise key.
    :ivar score: What its selector gave it last; 0 where lanes are not compared.
    :ivar hidden: ``[positions, hidden]``: the model's last hidden states (what its output layer reads) at the
        last positions before that of ``ids[-1]``, which has none yet; None where no drafter needs them.
    :ivar samples: Is noise drawn? :ivar wants_probabilities: Are those of drafted tokens wanted?
    :ivar draw: What this lane would choose if its model gave some logits; see :class:`decodeplug.drawn.Draws`.
    :ivar forward_s: Seconds of a forward of width 1 for each lane in it, which is what a token of this lane takes
        without drafts; 0 where none was measured.
    """

    ids: Sequence[int]
    prompt_length: int
    constraint: Any = None
    state: Any = None
    records: Mapping[str, Record] = field(default_factory=dict[str, Record])
    cost: Callable[[int], float] = lambda width: 1.0
    seed: tuple[int, int] = (0, 0)
    score: float = 0.0
    hidden: Tensor | None = None
    samples: bool = False
    wants_probabilities: bool = False
    draw: Any = None
    forward_s: float = 0.0

    def behind(self, tokens: Sequence[int], state: Any) -> LaneView:
        """The lane as it would be behind some drafted tokens. Nothing is known of its hidden states there.

        :param state: The constraint's state there.
        """
        ids = [*self.ids, *tokens]
        draw = None if self.draw is None else self.draw.behind(ids)
        return replace(self, ids=ids, state=state, hidden=None, draw=draw)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a drafter is told of a request before its first token.

    :ivar prompt: The prompt's ids.
    :ivar references: The ids of texts that the output may repeat, as the caller gave them.
    :ivar encode: The ids of a text, without special tokens; None on a host without tokenizer.
    :ivar model: The model that is decoded: not to be changed.
    """

    prompt: tuple[int, ...] = ()
    references: tuple[tuple[int, ...], ...] = ()
    encode: Callable[[str], list[int]] | None = None
    model: Any = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for.

    :ivar name: Of the function. :ivar arguments: By name, as its schema allows them.
    :ivar id: As the model wrote it; None where it wrote none.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The call as an entry of ``tool_calls`` in a chat message, as chat templates take it."""
        function = {"name": self.name, "arguments": dict(self.arguments)}
        return {"type": "function", "function": function, **({} if self.id is None else {"id": self.id})}


class ToolCalls(tuple[ToolCall, ...]):
    """The calls of one text, in their order; empty where it is an answer without calls."""

    __slots__ = ()


class Extension(NamedTuple):
    """What a selector decided for one lane.

    :ivar parent: Index of the lane that is extended, among the lanes given.
    :ivar tokens: The chosen ids: drafted ones that were kept, and one more. Each is the first
        candidate of its row, or any of them where the selector is joint.
    :ivar rows: For each token, the row of the score table that it was chosen from: the lane's
        first row and those behind it.
    :ivar score: The ``score`` of the lane from now on. :ivar margin: How far its last token is ahead of
        what was not taken. Both of a joint selector only.
    """

    parent: int
    tokens: tuple[int, ...]
    rows: range
    score: float = 0.0
    margin: float = math.inf
