"""What a caller gets back."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from decodeplug.errors import BadOption
from decodeplug.trace import Trace
from decodeplug.values import ToolCalls

__all__ = ["Chunk", "Result"]


@dataclass(slots=True)
class Result:
    """The outcome of one request.

    :ivar text: The text, without end token, special tokens (but one that begins calls, as in Mistral's form)
        and stop string.
    :ivar token_ids: New ids, the end token included.
    :ivar value: With a constraint: the parsed value, such as the pydantic instance. None if
        the text was cut before the constraint was satisfied.
    :ivar tree: The value, if it is a parse tree of a grammar (``lark(...)``); else None.
    :ivar finish_reason: "stop" (end token, stop string or constraint complete), "tool_calls" (the
        same, and there are calls), "length",
        "cancelled", "timeout" or "error" (then ``error`` is set).
    :ivar logprobs: ``[tokens]`` natural-log probability of each new id, after processors. Where they
        were not computed while decoding (``logprobs=True``; with a processor or a constraint that is
        all mask they always are), the first read costs as much as feeding the whole text again. What was not read
        before the result was pickled cannot be read from the copy: :class:`BadOption`.
    :ivar top_logprobs: ``[tokens, k]`` pairs (id, log-probability), best first; if asked for.
    :ivar raw_logprobs: ``[tokens]`` those of the model, before processors; if asked for.
    :ivar prompt_ids: The ids that the model was given.
    :ivar trace: What happened, step by step and in all.
    :ivar reports: Inspector -> its report.
    :ivar alternatives: Further hypotheses, each a Result; with beams the next best, and best first where a strategy
        decides between them.
    :ivar score: By what it was ranked, where the strategy ranks; with beams what hypotheses are compared by: the
        sum of the log-probabilities (as the processors leave them) over ``new tokens ** length_penalty``. Else None.
    :ivar hypothesis: Its number among those of the request.
    :ivar answer: What the text says, where the strategy votes; None if it says nothing.
    :ivar agreement: The winner's share of the votes, from 0 to 1, where the strategy votes.
    """

    text: str
    token_ids: list[int]
    finish_reason: str
    trace: Trace
    value: Any = None
    top_logprobs: list[list[tuple[int, float]]] | None = None
    raw_logprobs: list[float] | None = None
    prompt_ids: Sequence[int] = ()
    reports: Mapping[str, Any] = field(default_factory=dict)
    alternatives: list[Result] = field(default_factory=list)
    score: float | None = None
    error: BaseException | None = None
    hypothesis: int = 0
    answer: Any = None
    agreement: float | None = None
    _logprobs: list[float] | Callable[[], list[float]] = field(default_factory=list, repr=False, compare=False)

    @property
    def logprobs(self) -> list[float]:
        if not isinstance(self._logprobs, list):
            self._logprobs = self._logprobs()
        return self._logprobs

    @property
    def tool_calls(self) -> ToolCalls:
        """The calls that the model asks for, where the constraint is ``tools(...)``; else none."""
        return self.value if isinstance(self.value, ToolCalls) else ToolCalls()

    @property
    def tree(self) -> Any:
        """The parse tree, where the constraint is a grammar; else None."""
        trees = sys.modules.get("lark")  # nobody has made a tree without it
        return self.value if trees and isinstance(self.value, trees.Tree | trees.Token) else None

    def __copy__(self) -> Result:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Result:
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "_logprobs"}
        unread = self._logprobs  # what computes them is shared: it has the model
        return replace(self, **copy.deepcopy(own, memo), _logprobs=list(unread) if isinstance(unread, list) else unread)

    def __getstate__(self) -> dict[str, Any]:
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        if not isinstance(self._logprobs, list):  # what computes them has the model, and cannot be pickled
            state["_logprobs"] = _left_behind
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.text


def _left_behind() -> list[float]:
    """In place of what computes log-probabilities, in a result that was pickled."""
    raise BadOption(
        "result", logprobs=None, wanted="logprobs=True in the request, or to read them before it is pickled"
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed text. The texts of all chunks, joined, are ``result.text``.

    :ivar text: New text; may be empty while a character or a stop string is incomplete.
    :ivar token_ids: New ids of this turn. :ivar sources: Who proposed each: a drafter or "model".
    :ivar so_far: All text up to and including this chunk.
    :ivar finish_reason: None while the text goes on.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    so_far: str = ""
    finish_reason: str | None = None

    @property
    def partial(self) -> Any:
        """The JSON value written so far, as far as it can be read; None if nothing can."""
        from pydantic_core import from_json

        try:
            return from_json(self.so_far, allow_partial="trailing-strings")
        except ValueError:
            return None
