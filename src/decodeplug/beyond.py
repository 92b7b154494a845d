"""What becomes of a text that is longer than the model's window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decodeplug.caches import Rolling
from decodeplug.errors import BadOption, ContextOverflow
from decodeplug.spec import Spec

__all__ = ["NAMES", "Beyond"]

NAMES = ("error", "truncate-left", "sinks")
_SINKS = 4  # first ids that stay in sight, where there is no system prompt: arXiv:2309.17453, table 2


@dataclass(frozen=True, slots=True)
class Beyond:
    """A window policy.

    :ivar name: One of ``NAMES``. :ivar window: Ids that are seen at most; None: as many as the model allows.
    """

    name: str = "error"
    window: int | None = None

    @classmethod
    def of(cls, given: Any) -> Beyond:
        """From what a request says: a name, a line such as ``"sinks=window=512"``, a mapping.

        :raises BadOption: It is none of these, or has another option.
        """
        if not isinstance(given, str | Mapping):
            raise BadOption("request", window_policy=given, wanted=f"one of {', '.join(NAMES)}")
        spec = Spec.of(given)
        options = {name: value.parsed for name, value in spec.options.items()}
        window = options.pop("window", None)
        if spec.name not in NAMES or options or (spec.name == "error" and window is not None):
            raise BadOption(
                "request", window_policy=given, wanted=f"one of {', '.join(NAMES)}; the last two may have window="
            )
        if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 8):
            raise BadOption("request", window_policy=given, wanted="a window of at least 8 ids")
        return cls(spec.name, window)

    def fitted(
        self, ids: list[int], stays: Callable[[], int], wanted: int | None, window: int | None, cache: Any
    ) -> tuple[list[int], int, Any, str | None]:
        """Let a request fit.

        :param ids: The prompt; not modified. :param stays: How many of them come first and stay, a system prompt; asked if it matters.
        :param wanted: ``max_new_tokens``. :param window: Of the model. :param cache: The request's.
        :returns: The prompt that is used, the budget, the cache, and a note for the trace.
        :raises ContextOverflow: It does not fit. :raises BadOption: The budget must be named, or the window.
        """
        limit = min((size for size in (self.window, window) if size is not None), default=None)
        if self.name != "error" and self.window is not None and window is not None and self.window > window:
            raise BadOption("request", window_policy=f"window={self.window}", wanted=f"at most the model's {window}")
        if limit is None:
            if wanted is None:
                raise BadOption("request", max_new_tokens=None, wanted="a number: this model's context has no end")
            return ids, wanted, cache, None
        if self.name == "error":
            return ids, _budget(len(ids), wanted, limit), cache, None
        if wanted is None:
            raise BadOption(
                "request",
                max_new_tokens=None,
                wanted=f"a number: with window_policy={self.name!r} the window sets no limit",
            )
        if len(ids) + wanted <= limit:
            return ids, wanted, cache, None
        begin = stays()
        if self.name == "truncate-left":
            left = limit - wanted - begin
            if left < 1:
                raise ContextOverflow(begin + 1, wanted, limit, stays=True)
            gone = len(ids) - begin - left
            note = f"window_policy: {gone} ids of the prompt were left out behind the first {begin}"
            return [*ids[:begin], *ids[begin + gone :]], wanted, cache, note
        first = max(begin, _SINKS)
        if first > limit - 2:
            raise ContextOverflow(first, 2, limit, stays=True)
        rule = Rolling(cache, first, limit)
        note = f"window_policy: of the text, each id sees the first {first} and at most {limit - first} of the last"
        return ids, wanted, rule, note


def _budget(prompt_tokens: int, wanted: int | None, window: int) -> int:
    if prompt_tokens + (wanted or 1) > window:
        raise ContextOverflow(prompt_tokens, wanted, window)
    return window - prompt_tokens if wanted is None else wanted
