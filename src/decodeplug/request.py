"""What a caller asks for: a prompt, and keywords with the names that transformers users know."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from decodeplug.errors import BadOption
from decodeplug.reference import reference_texts
from decodeplug.whole import whole_number

__all__ = ["Prompt", "Request", "option_names"]

Message = Mapping[str, Any]
Prompt = str | Sequence[int] | Sequence[Message]

_ELSEWHERE = {  # what users of transformers try first -> how it is said here
    **dict.fromkeys(
        ("temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty"), 'processors=["{dashed}=..."]'
    ),
    "no_repeat_ngram_size": 'processors=["no-repeat-ngram=..."]',
    "bad_words_ids": "processors=[BadWords(...)]",
    "stop_strings": "stop=",
    "max_length": "max_new_tokens=",
    "logits_processor": "processors=[TransformersProcessors(...)]",
}


@dataclass(frozen=True, init=False)
class Request:
    """One prompt and how it shall be decoded. ``Request(prompt, **keywords)``.

    :param prompt: A text (raw completion), chat messages (the model's chat template, with
        generation prompt), or token ids.
    :param constraint: What the text must satisfy: ``json_schema(...)``, ``regex(...)``,
        ``choice(...)``, ``product(...)``, ``union(...)``, ``phases(...)``, ``tools(...)``, a class of your own,
        a pydantic class, dataclass, TypedDict, Literal or Enum, or a JSON schema.
    :param strategy: Name or object; None is "greedy", which samples when a temperature or
        truncating processor is named.
    :param processors: Names with options such as ``"temperature=0.7"``, mappings, or objects. None
        is none of them, or those of the generation config on a host that uses it.
    :param processor_order: "stage": penalties, bans, temperature, truncation, whatever the order in
        which they are named. "given": as named, behind the constraint's mask where they cut.
    :param drafters: Likewise. None is ``["forced", "lookup"]`` with a constraint, ``["lookup"]`` with a reference
        and no constraint, else none.
    :param reference: What the output may repeat, for drafters to look it up in: a text, token ids, or a list of
        these. The model does not see it.
    :param assistant: A smaller model, or a ``Host`` around one with a tokenizer of its own, that drafts.
    :param acceptance: How drafts are judged. "match": they change the speed, never the text. "rejection": when
        sampling, by the rule of speculative sampling, which keeps the distribution instead of the ids.
    :param cache: Name or object of the cache backend.
    :param window_policy: What becomes of a text that is longer than the model's window. "error"; "truncate-left": ids are left out
        behind a system prompt; "sinks": of each id the first ids and the last ones are seen. The last two may have a window of
        their own: "sinks=window=512".
    :param inspectors: Names or objects; what they report is in ``result.reports``.
    :param interventions: Likewise, what is changed in the model while it computes this text, such as ``"moe-top-k=1"``. Requests with
        others are computed by the model as it is.
    :param max_new_tokens: New tokens at most; None is what the context window leaves.
    :param stop: Strings that end the text; they are not part of it.
    :param end_ids: Ids that end this text; None is the model's own.
    :param stopping_criteria: transformers' own, or any ``f(ids [1, tokens] int64, None)`` that is
        true where the text shall end.
    :param seed: Key of the noise; None draws one, which the trace reports.
    :param do_sample: Whether noise is drawn; None: see ``strategy``.
    :param num_beams: Hypotheses that beam search compares. None is 1, which is no beam search; 4 where the
        strategy is "beam". More than one means that strategy, where none is named.
    :param length_penalty: Beams are compared by score / new tokens ** this.
    :param early_stopping: When beam search ends: True, False or "never"; see ``decodeplug.selectors.Beam``.
    :param num_return_sequences: Hypotheses to return; more than one only when sampling, and of beams at most
        ``num_beams``.
    :param n: Paths of a strategy that decides between several, such as "self-consistency".
    :param answer: What a path says, for "self-consistency": a regular expression, a JSON pointer, a function of
        a Result, or None, which is the constrained value.
    :param weights: What a path's vote counts, for "self-consistency": "count", "likelihood", or a function of a Result.
    :param scorer: What is best, for "best-of-n": "mean" or "sum" of the log-probabilities, or a function of a Result.
    :param logprobs: True: compute ``result.logprobs`` while decoding, not when it is read. A number:
        report so many of the likeliest tokens at each position as well.
    :param raw_logprobs: Report the model's own log-probabilities as well.
    :param timeout_s: Seconds after which the request ends with what it has.
    :param chat_template_kwargs: Further arguments for the chat template.
    :raises BadOption: An option does not exist, or has a value that it cannot have.
    """

    prompt: Any
    constraint: Any = None
    strategy: Any = None
    processors: Sequence[Any] | None = None
    processor_order: str = "stage"
    drafters: Sequence[Any] | None = None
    reference: Any = ()
    assistant: Any = None
    acceptance: str = "match"
    cache: Any = "dense"
    window_policy: Any = "error"
    inspectors: Sequence[Any] = ()
    interventions: Sequence[Any] = ()
    max_new_tokens: int | None = None
    stop: str | Sequence[str] | None = ()
    end_ids: Sequence[int] | None = None
    stopping_criteria: Sequence[Any] = ()
    seed: int | None = None
    do_sample: bool | None = None
    num_beams: int | None = None
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    num_return_sequences: int = 1
    n: int | None = None
    answer: Any = None
    weights: Any = None
    scorer: Any = None
    logprobs: bool | int = False
    raw_logprobs: bool = False
    timeout_s: float | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, prompt: Any, **options: Any) -> None:
        defaults = {item.name: item for item in fields(self)}
        for name in options:
            if name not in defaults:
                raise _unknown(name, options[name])
        object.__setattr__(self, "prompt", prompt)
        for name, item in defaults.items():
            if name == "prompt":
                continue
            default = item.default_factory() if callable(item.default_factory) else item.default
            object.__setattr__(self, name, options.get(name, default))
        self.__post_init__()

    def __post_init__(self) -> None:
        for name in ("processors", "inspectors", "interventions", "drafters", "stopping_criteria"):
            value = getattr(self, name)
            if value is None and name in ("drafters", "processors"):
                continue
            if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
                raise BadOption("request", wanted=f"a list, such as {name}=[{value!r}]", **{name: value})
        given = () if self.stop is None else self.stop
        stops = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
        if not all(isinstance(stop, str) and stop for stop in stops):
            raise BadOption("request", stop=self.stop, wanted="a string or a list of strings, none of them empty")
        object.__setattr__(self, "stop", stops)
        object.__setattr__(self, "reference", reference_texts(self.reference))
        for name, least in (("max_new_tokens", 1), ("num_beams", 1), ("num_return_sequences", 1), ("logprobs", 0)):
            if name == "logprobs" and isinstance(self.logprobs, bool):
                continue
            or_none = name in ("max_new_tokens", "num_beams")
            whole_number("request", name, getattr(self, name), least, or_none=or_none)
        whole_number("request", "seed", self.seed, 0, or_none=True)
        whole_number("request", "n", self.n, 1, or_none=True)
        if self.timeout_s is not None and not (isinstance(self.timeout_s, numbers.Real) and self.timeout_s > 0):
            raise BadOption("request", timeout_s=self.timeout_s, wanted="a number of seconds above 0")
        if self.processor_order not in ("stage", "given"):
            raise BadOption("request", processor_order=self.processor_order, wanted="'stage' or 'given'")
        if self.acceptance not in ("match", "rejection"):
            raise BadOption("request", acceptance=self.acceptance, wanted="'match' or 'rejection'")
        if self.do_sample not in (None, True, False):
            raise BadOption("request", do_sample=self.do_sample, wanted="True, False or None")

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the prompt."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "prompt"}


def option_names() -> list[str]:
    """The names of all options of a request."""
    return [item.name for item in fields(Request) if item.name != "prompt"]


def _unknown(name: str, value: Any) -> BadOption:
    if name in _ELSEWHERE:
        said = _ELSEWHERE[name].format(dashed={"typical_p": "typical"}.get(name, name.replace("_", "-")))
        return BadOption("request", wanted=f"{said}, which is how {name} is said here", **{name: value})
    near = difflib.get_close_matches(name, option_names(), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    given = {name: value} if name != "wanted" else {}  # the error's own word
    return BadOption("request", wanted=f"one of the options {', '.join(option_names())}{hint}", **given)
