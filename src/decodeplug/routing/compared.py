"""What an intervention changes: the perplexity of a text, the experts of its tokens, and what is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from decodeplug.errors import BadOption

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model as it is beside a model with interventions.

    :ivar perplexity: Of the prompt and of what the model as it is writes behind it, but for the last token: ``exp`` of the mean
        of minus the natural log-probability of each token behind the first. :ivar changed_perplexity: Of the same tokens, by the changed model.
    :ivar same_experts: The share of choices of the model as it is that the changed one makes for the same tokens, too.
    :ivar text: What the model as it is writes. :ivar changed_text: What the changed one writes.
    :ivar same_tokens: How many tokens both write before they part.
    """

    perplexity: float
    changed_perplexity: float
    same_experts: float
    text: str
    changed_text: str
    same_tokens: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(host: Any, prompt: Any, interventions: Sequence[Any], **options: Any) -> Comparison:
    """Run a request with and without interventions.

    :param host: Around a mixture-of-experts model. :param prompt: As for ``host.generate``.
    :param interventions: As for ``host.generate``. :param options: Its further options, which both runs get.
    :raises BadOption: The prompt is a single token, of which no perplexity can be said.
    """
    watched = [*options.pop("inspectors", ()), "moe-routing"]
    plain = host.generate(prompt, inspectors=watched, **options)
    changed = host.generate(prompt, inspectors=watched, interventions=interventions, **options)
    ids = [*plain.prompt_ids, *plain.token_ids]
    if len(ids) < 3:
        raise BadOption("compare", prompt=prompt, wanted="at least two tokens")
    # The last one is left out: of a text that is only looked at, it is not part of it.
    before = host.score(ids[:1], ids[1:-1])
    after = host.score(ids[:1], ids[1:-1], interventions=interventions)
    options["max_new_tokens"] = 1
    again = host.generate(ids[:-1], inspectors=watched, interventions=interventions, **options)
    pairs = zip(plain.token_ids, changed.token_ids, strict=False)
    same = next((place for place, (one, other) in enumerate(pairs) if one != other), None)
    return Comparison(
        math.exp(-sum(before) / len(before)),
        math.exp(-sum(after) / len(after)),
        _shared(plain.reports["moe-routing"], again.reports["moe-routing"]),
        plain.text,
        changed.text,
        min(len(plain.token_ids), len(changed.token_ids)) if same is None else same,
    )


def _shared(one: Any, other: Any) -> float:
    """The share of choices of ``one`` that ``other`` makes for the same tokens."""
    count = min(len(one.experts), len(other.experts))
    first, second = one.experts[:count], other.experts[:count]
    found = (first[..., :, None] == second[..., None, :]).any(-1) & (first >= 0)
    return float(found.sum() / (first >= 0).sum().clamp(min=1))
