"""The two sides of the comparison: the recipe, and plain sampling with the same law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from decodeplug.contracts import Selector
from decodeplug.errors import BadOption
from decodeplug.host import Host
from decodeplug.recipe import Recipe
from decodeplug.request import Request
from decodeplug.result import Result

__all__ = ["Prompted", "Tell", "draw", "options_of", "plain_options", "recipe_options", "selector_of"]

_OF_THE_LAW = (
    "constraint", "processors", "processor_order", "stop", "end_ids", "stopping_criteria", "do_sample", "chat_template_kwargs",
)  # fmt: skip
"""Options that say which texts are how likely. All others say how they are found."""

Tell = Callable[[str, int, int], None]
"""What is going on, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """A text that is to be drawn: the index of its prompt, and its seed."""

    prompt: int
    seed: int


def options_of(recipe: Recipe | Mapping[str, Any]) -> dict[str, Any]:
    """The options of a recipe, or of a mapping, in which parts may be objects.

    :raises BadOption: It is neither.
    """
    if isinstance(recipe, Recipe):
        return dict(recipe.options)
    if not isinstance(recipe, Mapping):
        raise BadOption("verify_lossless", recipe=recipe, wanted="a Recipe, or a mapping of options")
    return dict(recipe)


def recipe_options(options: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """The recipe's own options, so that a seed gives one text, which only its length ends early."""
    return {**options, "max_new_tokens": tokens, "num_return_sequences": 1, "timeout_s": None}


def plain_options(host: Host, options: Mapping[str, Any], tokens: int, cache: Any) -> dict[str, Any]:
    """Plain sampling with the law of some options: no drafts, and each token chosen by ``match``."""
    strategy = options.get("strategy")
    samples = None if strategy is None else host.plugins.registry.build("strategy", strategy).samples
    return {
        **{name: options[name] for name in _OF_THE_LAW if name in options},
        "strategy": {True: "sample", False: "greedy", None: None}[samples],
        "drafters": [],
        "cache": cache,
        "max_new_tokens": tokens,
        "logprobs": True,
    }


def selector_of(host: Host, prompt: Any, options: Mapping[str, Any]) -> Selector:
    """The selector with which a request of these options would be decoded.

    :raises DecodeplugError: The request cannot run.
    """
    return host._fit.ready(Request(prompt, **options)).job.plan.selector


def draw(
    host: Host,
    prompts: Sequence[Any],
    options: Mapping[str, Any],
    wanted: Sequence[Prompted],
    *,
    batch: int,
    tell: Tell,
    what: str,
) -> list[Result]:
    """A text for each that is wanted, drawn in this order, so many at a time."""
    results: list[Result] = []
    for start in range(0, len(wanted), batch):
        tell(what, start, len(wanted))
        some = wanted[start : start + batch]
        results += host.generate_batch([Request(prompts[one.prompt], **{**options, "seed": one.seed}) for one in some])
    tell(what, len(wanted), len(wanted))
    return results
