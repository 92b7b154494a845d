"""From what a request says of its drafters to one that is opened for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from decodeplug.assistants import Assistants
from decodeplug.contracts import Drafter, Selector, Strategy
from decodeplug.errors import BadOption, DecodeplugError, IncompatibleParts, PluginError
from decodeplug.failure import PartFailure
from decodeplug.lane import Job
from decodeplug.opened import opened
from decodeplug.owners import owner_of
from decodeplug.reference import encoder, reference_ids
from decodeplug.registry import Registry
from decodeplug.request import Request
from decodeplug.score import part_name
from decodeplug.spec import Spec
from decodeplug.trace import Trace
from decodeplug.values import Opening

if TYPE_CHECKING:
    from decodeplug.target import Target

__all__ = ["Guessing", "by_default", "note_who_was_never_asked"]


class Guessing:
    """What one host knows that drafters need: its parts by name, its model and tokenizer, its assistants."""

    def __init__(self, registry: Registry, target: Target, tokenizer: Any) -> None:
        self.registry, self.target, self.tokenizer = registry, target, tokenizer
        self.assistants = Assistants(registry, target, tokenizer)

    def drafters(
        self, request: Request, strategy: Strategy, selector: Selector, cache: Any, constrained: bool, trace: Trace
    ) -> list[Drafter]:
        """The drafters of a request: those that it names or that come by default, and the strategy's own.

        :raises IncompatibleParts: The request names some that the selector, the cache or the model cannot have.
        """
        named = request.drafters is not None
        only = getattr(selector, "only_drafters", None)
        default = by_default(constrained, bool(request.reference))
        wanted = list(request.drafters or ()) if named else [name for name in default if only is None or name in only]
        drafters = [self._drafter(part, request) for part in wanted]
        known = {drafter.name for drafter in drafters}
        drafters += [
            self._drafter(part, request) for part in self._own(strategy, known) if Spec.of(part).name not in known
        ]
        drafters = [drafter for drafter in drafters if drafter.name != "none"]
        self._note_what_is_unused(request, drafters, trace)
        if not drafters:
            return []
        first = f"drafter {drafters[0].name!r}"
        if not selector.takes_drafts:
            raise IncompatibleParts(
                f"selector {selector.name!r}", first, because="it takes no drafts", instead="Use drafters=[]"
            )
        for drafter in drafters:
            if only is not None and drafter.name not in only:
                raise IncompatibleParts(
                    f"selector {selector.name!r}",
                    f"drafter {drafter.name!r}",
                    because="it takes drafts only of " + ", ".join(map(repr, only)),
                    instead=f"Use drafters={list(only)}, or drafters=[]",
                )
        rejected = "cannot be rewound when a draft is rejected"
        if not getattr(cache, "can_rewind", True):
            if named:
                who, instead = f"cache {part_name(cache)!r}", "Use drafters=[], or another cache"
                raise IncompatibleParts(who, first, because=f"it {rejected}", instead=instead)
            trace.notes.append(f"no drafts: cache {part_name(cache)!r} cannot be rewound")
            return []
        if not self.target.can_rewind:
            if named:
                model = f"a model on the {self.target.path!r} path"
                raise IncompatibleParts(first, model, because=f"its state {rejected}", instead="Use drafters=[]")
            trace.notes.append("no drafts: the state of this model cannot be rewound")
            return []
        return drafters

    def open(self, drafters: Sequence[Drafter], request: Request, prompt: Sequence[int]) -> Drafter | None:
        """The drafters as one, opened for the request.

        :raises PluginError: One of them could not be opened.
        """
        encode = encoder(self.tokenizer)
        references = reference_ids(request.reference, encode, self.target.vocab_size)
        if not drafters:
            return None
        opening = Opening(tuple(prompt), references, encode, self.target.module)
        try:
            return opened(self.registry.build("drafter", "chain", drafters=drafters), opening)
        except PartFailure as failure:
            part, cause = failure.part, failure.cause
            if isinstance(cause, DecodeplugError):
                raise cause from cause.__cause__
            raise PluginError(owner_of(part), part_name(part), "open", cause) from cause

    def _own(self, strategy: Strategy, named: set[str]) -> Sequence[str | Mapping[str, Any]]:
        """The strategy's own drafters; ``named`` are those of the request."""
        choose = getattr(strategy, "drafters_for", None)
        try:
            return strategy.drafters if choose is None else list(choose(self.target.module, named))
        except DecodeplugError:
            raise
        except Exception as error:
            raise PluginError(owner_of(strategy), part_name(strategy), "drafters_for", error) from error

    def _drafter(self, part: Any, request: Request) -> Drafter:
        if not (isinstance(part, str | Mapping) and Spec.of(part).name == "assistant"):
            return self.registry.build("drafter", part)
        if request.assistant is None:
            raise BadOption("drafter 'assistant'", assistant=None, wanted="assistant=: a model, or a Host around one")
        return self.assistants.drafter(part, request.assistant)

    def _note_what_is_unused(self, request: Request, drafters: Sequence[Drafter], trace: Trace) -> None:
        if request.reference and not any(getattr(drafter, "reads_references", False) for drafter in drafters):
            trace.notes.append("the reference is not used: none of the drafters looks at it")
        if request.assistant is not None and not any(drafter.name == "assistant" for drafter in drafters):
            trace.notes.append("the assistant is not used: none of the drafters is 'assistant'")


def note_who_was_never_asked(job: Job) -> None:
    """Say in its trace, when it is over, which drafters were not, though there were turns in which they might have been."""
    asked = {name for lane in job.lanes for name in lane.records}
    if job.error is not None or job.cancelled or all(len(lane.new_ids) <= 2 for lane in job.lanes):
        return
    for drafter in getattr(job.drafter, "drafters", ()):
        if hasattr(drafter, "price") and not getattr(drafter, "insists", False) and drafter.name not in asked:
            job.trace.notes.append(
                f"drafter {drafter.name!r} was never asked: others promised more, or what it might save was not worth what its "
                "tokens cost; with num_tokens, where it has that, it drafts whatever it costs"
            )


def by_default(constrained: bool, has_reference: bool) -> list[str]:
    """The drafters of a request that names none: those that have something to draft from."""
    return ["forced"] * constrained + ["lookup"] * (constrained or has_reference)
