"""Do the parts of a request fit? Turns names into parts and refuses what cannot work.

What is refused here is refused before the first token. ``docs/refusals.md`` has the
closed list; a refusal that is not on it is a bug.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from decodeplug.beyond import Beyond
from decodeplug.caches.rolling import Rolling
from decodeplug.constraining import Constraining
from decodeplug.contracts import ConstraintSpec, Intervention, Processor, Strategy
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.guessing import Guessing
from decodeplug.jury import Jury
from decodeplug.lane import Job, Lane, Plan
from decodeplug.owners import owner_of
from decodeplug.panel import Panel
from decodeplug.prompts import beginning, prompt_ids
from decodeplug.registry import Registry
from decodeplug.request import Request
from decodeplug.rules import Rules
from decodeplug.same import same
from decodeplug.score import in_order, part_name
from decodeplug.searching import Searching, hypotheses_of, shapes
from decodeplug.text import TextState, decoder
from decodeplug.trace import Trace
from decodeplug.vocabulary import Vocabulary

if TYPE_CHECKING:
    from decodeplug.target import Target

__all__ = ["Fit", "Ready"]


@dataclass(slots=True)
class Ready:
    """A request that can run: its job, and what to make of the finished text."""

    request: Request
    job: Job
    spec: ConstraintSpec | None
    cache: Any
    panel: Panel | None = None
    interventions: tuple[Intervention, ...] = ()

    def runs_with(self, other: Ready) -> bool:
        """Are they computed by the same model, with one cache?"""
        return same(self.cache, other.cache) and same(self.interventions, other.interventions)


class Fit:
    """Turns the requests of one host into jobs."""

    def __init__(
        self,
        *,
        registry: Registry,
        tokenizer: Any,
        vocabulary: Vocabulary | None,
        target: Target,
        end_ids: frozenset[int],
        defaults: Callable[[int], Sequence[Processor]] | None = None,
        configured_sampling: bool = False,
        configured_beams: Mapping[str, Any] | None = None,
    ) -> None:
        self.registry, self.tokenizer, self.vocabulary = registry, tokenizer, vocabulary
        self.target, self.end_ids, self.defaults = target, end_ids, defaults
        self.configured_beams = configured_beams or {}
        self.searching = Searching(registry, configured_sampling)
        self.constraints = Constraining(registry, tokenizer, vocabulary)
        self.guessing = Guessing(registry, target, tokenizer)

    def ready(self, request: Request, *, follows_text: bool = False) -> Ready:
        """Everything that a request needs to run.

        :param follows_text: Keep the text up to date turn by turn, as streaming needs.
        :raises DecodeplugError: It cannot run; says which part and why.
        """
        asked = request
        if request.strategy is None and request.num_beams is None:
            request = replace(request, **self.configured_beams)
        ids = prompt_ids(request.prompt, self.tokenizer, self.target.vocab_size, request.chat_template_kwargs)
        cache = self.registry.build("cache", request.cache)
        self.target.refuse_cache(cache)
        begin = partial(beginning, request.prompt, ids, self.tokenizer, request.chat_template_kwargs)
        ids, budget, cache, note = Beyond.of(request.window_policy).fitted(
            ids, begin, request.max_new_tokens, self.target.context_window, cache
        )
        if request.logprobs > self.target.vocab_size:
            raise BadOption("request", logprobs=request.logprobs, wanted=f"at most {self.target.vocab_size} ids")
        if request.stop and self.tokenizer is None:
            raise BadOption("request", stop=request.stop, wanted="no stop strings: this host has no tokenizer")
        spec = None if request.constraint is None else self.constraints.spec(request.constraint)
        constraint = None if spec is None else self.constraints.compile(spec)
        promised = None if constraint is None or spec is None else self.constraints.promised(spec, constraint, budget)
        end_ids = self.end_ids if request.end_ids is None else frozenset(request.end_ids)
        strategy = self.searching.strategy(request)
        processors = self._processors(request, strategy, len(ids), end_ids)
        jury = strategy if isinstance(strategy, Jury) else None
        hypotheses = hypotheses_of(request, jury)
        samples = self.searching.samples(request, strategy, processors)
        resolved = {**request.options, "max_new_tokens": budget, "end_ids": end_ids}
        selector = self.searching.selector(request, strategy, samples, hypotheses, resolved)
        named = "sample" if strategy.name == "greedy" and samples else strategy.name
        trace = Trace(seed=secrets.randbits(63) if request.seed is None else request.seed, strategy=named)
        trace.notes += [note] if note else []
        drafters = self.guessing.drafters(request, strategy, selector, cache, constraint is not None, trace)
        trace.notes += getattr(spec, "dropped", ())
        if constraint is not None and promised is None:
            trace.notes.append("no text of this constraint was found at first, so the budget may cut it in the middle")
        trace.processors = tuple(part_name(part) for part in processors)
        trace.drafters = tuple(drafter.name for drafter in drafters)
        inspectors = [self.registry.build("inspector", part) for part in request.inspectors]
        job = Job(
            prompt=ids,
            plan=Plan(processors, selector),
            rules=self._rules(request, budget, end_ids, constraint, follows_text),
            trace=trace,
            seed=trace.seed,
            drafter=self.guessing.open(drafters, request, ids),
            constraint=promised or constraint,
            end_ids=end_ids,
            inspectors=inspectors,
            watchers=[(part, part.tap(self.target.module)) for part in inspectors if hasattr(part, "tap")],
            samples=samples,
            logprobs=bool(request.logprobs) or bool(processors) or jury is not None,
            top_logprobs=int(request.logprobs) if request.logprobs is not True else 0,
            raw_logprobs=request.raw_logprobs or jury is not None,
            reports_logprobs=bool(request.logprobs),
            owner=owner_of,
            deadline=None if request.timeout_s is None else time.monotonic() + request.timeout_s,
            returns=request.num_return_sequences,
        )
        if job.needs_whole_prompt and getattr(cache, "knows_texts", False):
            trace.notes.append(
                "all of the prompt is computed, also what the cache knows of it: a drafter or an inspector reads it"
            )
        self._open_lanes(job, hypotheses)
        interventions = self.interventions(request.interventions)
        _refuse_by_position(interventions, cache)
        return Ready(asked, job, spec, cache, None if jury is None else Panel(jury, job), interventions)

    def interventions(self, given: Sequence[Any]) -> tuple[Intervention, ...]:
        """Interventions from names or objects.

        :raises DecodeplugError: One cannot change this model.
        """
        parts = tuple(self.registry.build("intervention", part) for part in given)
        for part in parts:
            if hasattr(part, "check"):
                part.check(self.target.module)
        return parts

    def _processors(
        self, request: Request, strategy: Strategy, prompt_length: int, end_ids: frozenset[int]
    ) -> tuple[Processor, ...]:
        if request.processors is not None:
            named = [self.registry.build("processor", part) for part in request.processors]
        elif self.defaults is None:
            named = []
        else:
            greedy = request.strategy is not None and strategy.samples is False
            named = [part for part in self.defaults(prompt_length) if not (greedy and shapes(part))]
        for part in named:
            if not callable(part) or not isinstance(getattr(part, "stage", None), int):
                raise BadOption("request", processors=part, wanted="names, mappings, or processors with a stage")
        parts = [_with_end_ids(part, end_ids) for part in named]
        return in_order(parts) if request.processor_order == "stage" else tuple(parts)

    def _rules(
        self, request: Request, budget: int, end_ids: frozenset[int], constraint: Any, follows_text: bool
    ) -> Rules:
        decode = None if self.tokenizer is None else decoder(self.tokenizer)
        if constraint is not None and self.vocabulary is not None:
            # Byte for byte: a tokenizer may tidy up what was enforced.
            decode = partial(self.vocabulary.decode, spoken=getattr(constraint, "spoken_ids", frozenset()))
        follows_text = (follows_text and self.tokenizer is not None) or bool(request.stop)
        stop, criteria = tuple(request.stop or ()), tuple(request.stopping_criteria)
        return Rules(budget, end_ids, stop, decode, criteria, follows_text)

    def _open_lanes(self, job: Job, hypotheses: int) -> None:
        state = None if job.constraint is None else job.constraint.start()
        text = TextState() if job.rules.follows_text else None
        job.lanes = [
            Lane(job, list(job.prompt), state=state, text=text, hypothesis=number)
            for number in range(hypotheses if job.plan.joint is None else 1)
        ]


def _refuse_by_position(interventions: Sequence[Intervention], cache: Any) -> None:
    for part in interventions:
        if isinstance(cache, Rolling) and getattr(part, "by_position", False):
            raise IncompatibleParts(
                f"intervention {part_name(part)!r}",
                "window_policy='sinks'",
                because="what is in sight is computed at other positions than those of the text",
                instead="Use window_policy='error' or 'truncate-left'",
            )


def _with_end_ids(part: Any, end_ids: frozenset[int]) -> Any:
    """Processors that speak of end tokens mean the model's, unless told otherwise."""
    return replace(part, end_ids=tuple(sorted(end_ids))) if getattr(part, "end_ids", None) == () else part
