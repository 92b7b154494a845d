"""What each kind of part promises. Parts need not inherit from these protocols.

Shapes are written ``[rows, vocab]``; ``vocab`` is the width of the model's logits,
which may be larger than the tokenizer (padded vocabularies). A *row* is one
position whose next token is being chosen: one lane with ``n`` drafted tokens has
``n + 1`` rows. ``decodeplug.testing`` has one ``check_*`` for every contract.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from decodeplug.selecting import JointSelector, Proposal, Rows, Selector
from decodeplug.session import Session
from decodeplug.values import Draft, LaneView, Seen, Stage

if TYPE_CHECKING:
    from torch import Tensor


__all__ = [
    "Ask",
    "Constraint",
    "ConstraintSpec",
    "Drafter",
    "Inspector",
    "Intervention",
    "JointSelector",
    "Processor",
    "Proposal",
    "Rows",
    "Selector",
    "Session",
    "Strategy",
    "Vocabulary",
]


@runtime_checkable
class Processor(Protocol):
    """A pure function of the scores and of what each row has seen.

    Neighbouring requests of a batch with equal processors (``==``) are scored together, so
    a processor is best a frozen dataclass.
    """

    stage: ClassVar[Stage]
    keeps_argmax: ClassVar[bool]
    """True if the best token of every row stays the best."""

    def __call__(self, scores: Tensor, seen: Seen) -> Tensor:
        """Return new scores.

        :param scores: ``[rows, vocab]`` float32, natural log, not normalised;
            not modified. Tokens that may not be chosen are at ``-inf``.
        :param seen: What each row has seen.
        :returns: ``[rows, vocab]``. No token at ``-inf`` is revived. A row that is
            left without any token is put back as the constraint gave it, and the
            trace counts it.
        """
        ...


class Vocabulary(Protocol):
    """The tokenizer's side of a constraint: which bytes each id stands for."""

    size: int
    """Number of ids a constraint speaks of; ids from here on are never allowed."""
    end_ids: frozenset[int]
    """Ids that end a text. The loop allows them where a constraint accepts."""

    def token_bytes(self, token: int) -> bytes: ...
    def encode(self, text: str) -> list[int]: ...


@runtime_checkable
class Constraint(Protocol):
    """A constraint compiled for one vocabulary. Its states are values.

    ``advance`` returns the next state and changes nothing, so a draft is
    rejected, a beam is forked and a tree is walked without any undo. A mutable
    matcher may stand behind the value. End tokens are not the constraint's
    business: the loop allows them exactly where ``is_accepting``.

    A constraint with ``refuses_late = True`` may have a mask that is too wide: ``advance`` then
    says of a chosen token whether it stands, as a function of the tokens before it, and the loop
    chooses again without those that do not. At least one always must stand. After many refusals
    in one place it is asked for that one, if it has ``surely(state) -> ids`` (at most one id).

    One that knows how a text may end has ``ending(state) -> ids | None``: else it is searched
    for, so that ``max_new_tokens`` can be promised.

    Special ids are never allowed, but for those in ``spoken_ids`` of a constraint that has it: they stand for
    the bytes of their names, which other ids may spell too.
    """

    def start(self) -> Hashable:
        """The state before the first token."""
        ...

    def allowed(self, state: Any) -> Tensor:
        """Which ids may follow: ``[vocabulary.size]`` bool on the CPU, end ids False.

        May be called from another thread than the rest, but never at the same
        time as another call on the same compiled constraint.
        """
        ...

    def advance(self, state: Any, token: int) -> Any | None:
        """The state after ``token``, or None if ``token`` is not allowed. Changes nothing."""
        ...

    def forced(self, state: Any) -> Sequence[int]:
        """Ids that the constraint leaves no choice about, as far as it knows; may be empty.

        Only a hint for drafting: every id is checked again.
        """
        ...

    def is_accepting(self, state: Any) -> bool:
        """May the text end here?"""
        ...

    def is_complete(self, state: Any) -> bool:
        """True if the text must end here: accepting, and no id may follow."""
        ...


@runtime_checkable
class ConstraintSpec(Protocol):
    """What a user writes (``json_schema(...)``): compiled per vocabulary, and the last judge."""

    kind: ClassVar[str]

    def key(self) -> Hashable:
        """Equal keys compile to equal constraints; compiled ones are cached by it."""
        ...

    def compile(self, vocabulary: Vocabulary) -> Constraint:
        """Compile for a vocabulary.

        :raises UnsupportedSchema: The schema is invalid or cannot be enforced.
        :raises UnsupportedGrammar: The pattern cannot be enforced.
        :raises Unsatisfiable: No text at all satisfies it.
        """
        ...

    def value(self, text: str) -> Any:
        """Check the finished text and return what ``r.value`` shall be.

        :raises InvalidResult: The text does not satisfy the constraint.
        """
        ...


@runtime_checkable
class Drafter(Protocol):
    """Proposes tokens. Changes the speed, never the text.

    What a drafter may have besides:

    - ``open(request: Opening) -> Drafter``, if it has a memory: it gives each request a drafter of its own. All
      lanes that this one is asked for begin with the request's prompt, and ``lane.seed[1]``, the number of the
      hypothesis, tells them apart. The memory decides nothing: the same lane gives the same draft, whatever was
      asked before, for a lane may be forked, and what was drafted may be rejected. Only of hidden states may it know
      more than one that was just opened: those that it was shown.
    - ``reads_references = True``: it looks at ``Opening.references``; else a request that has some is told that
      nobody does.
    - ``draft_all(asks) -> list[Draft]``, with ``asks`` pairs of a lane and its room: the same for several lanes at
      once, which one forward of a model can serve. Then it is called in place of ``draft``.
    - ``price(lane) -> float``: what each of its tokens costs, in forwards of width 1. It is asked once a turn, and
      for no more tokens than are worth it.
    - ``insists = True``: its drafts are not shortened to what is worth it.
    - ``close()``: called when no request that uses it is running any more; lets go of what it remembers, and may draft again.
    - ``needs_hidden = True``: lanes show the hidden states of the model.
    """

    name: ClassVar[str]
    prior: ClassVar[float]
    """Share of its tokens expected to be kept before anything was measured."""

    def draft(self, lane: LaneView, room: int) -> Draft:
        """Propose at most ``room`` tokens to follow ``lane.ids``; may be none.

        Changes nothing in ``lane``. Tokens that ``lane.constraint`` forbids are cut
        off by the loop.
        """
        ...


class Ask(NamedTuple):
    """A question to a drafter: at most ``room`` tokens for a lane."""

    drafter: Drafter
    lane: LaneView
    room: int


@runtime_checkable
class Strategy(Protocol):
    """A named, complete combination: a selector, and drafters of its own.

    One with ``options = (name, ...)`` has these options of the request given to its selector's factory, but for
    those that are None; ``max_new_tokens`` and ``end_ids`` are those that the text will have. One with
    ``drafters_for(model, named)`` is asked that in place of ``drafters``: its drafters depend on what the model has, and
    on the names of those that the request has.
    """

    name: ClassVar[str]
    samples: ClassVar[bool | None]
    """Whether noise is drawn unless ``do_sample`` says otherwise; None: if a temperature or
    truncating processor is named."""
    selector: ClassVar[str]
    """Name of its selector, whose factory takes ``sample=``."""
    drafters: Sequence[str | Mapping[str, Any]]
    """Names of its own drafters, or mappings with options, which come after those that the request names."""


@runtime_checkable
class Inspector(Protocol):
    """Reads what happens and reports at the end. Never changes ids, leaves no hook behind.

    What an inspector may have besides:

    - ``needs_whole_prompt = True``: every id of its request's prompt is computed, and a cache does not go on from what
      it knows of another text.
    - ``tap(model) -> Tap``: what it looks at in every forward, id by id. Then ``see(watched: Watched)`` is called before
      ``report``, with what was seen of the ids that the request returns, and apart from them of drafts that were
      rejected and hypotheses that were given up. Its request's whole prompt is computed.
    """

    name: ClassVar[str]

    def attach(self, model: Any) -> Any:
        """A context manager that is open during each forward of the request: entered anew every turn."""
        ...

    def step(self, step: Any) -> None:
        """Called once per step of the loop with the step's record."""
        ...

    def report(self) -> Any:
        """What ``r.reports[name]`` shall be."""
        ...


@runtime_checkable
class Intervention(Protocol):
    """Changes what the model computes for its request, and only for it.

    Requests whose interventions are equal (``==``) run together; others run after one another, and share nothing that a cache
    knows of texts. One with ``check(model)`` is asked that before the first token, and raises what speaks against it.
    """

    name: ClassVar[str]

    def attach(self, model: Any) -> Any:
        """A context manager that is open during each turn of the request, entered anew every time; it puts everything
        back, also after an exception."""
        ...
