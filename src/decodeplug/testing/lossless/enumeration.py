"""Every text that plain sampling can write, and its probability, where these are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from decodeplug.host import Host
from decodeplug.testing.lossless.law import Forced, Look, forcing
from decodeplug.testing.lossless.plain import Tell

__all__ = ["MOST_TEXTS", "every_text"]

MOST_TEXTS = 4000


def every_text(
    host: Host, prompt: Any, plain: Mapping[str, Any], *, limit: int, batch: int, tell: Tell
) -> dict[tuple[int, ...], float] | None:
    """Text (new ids) -> probability, or None if there are more than ``limit`` texts.

    Each beginning of a text takes a forward or two.
    """
    texts: dict[tuple[int, ...], float] = {}
    open_: dict[tuple[int, ...], float] = {(): 1.0}
    tokens = plain["max_new_tokens"]
    while open_:
        longer: dict[tuple[int, ...], float] = {}
        for beginning, after in _followers(host, prompt, plain, list(open_), batch).items():
            if after is None:
                texts[beginning] = open_[beginning]
            for token, probability in (after or {}).items():
                longer[*beginning, token] = open_[beginning] * probability
            if len(texts) + len(longer) > limit:
                return None
        if longer and len(next(iter(longer))) == tokens:
            texts |= longer
            longer = {}
        open_ = longer
        tell("every text", len(texts), len(texts) + len(open_))
    return texts


def _followers(
    host: Host, prompt: Any, plain: Mapping[str, Any], beginnings: Sequence[tuple[int, ...]], batch: int
) -> dict[tuple[int, ...], dict[int, float] | None]:
    """For each beginning what may follow it, with its probability; None where the text ends there."""
    found: dict[tuple[int, ...], dict[int, float] | None] = {}
    for start in range(0, len(beginnings), batch):
        forced = [Forced(text, Look(), wants_after=True) for text in beginnings[start : start + batch]]
        requests = [
            forcing(
                host,
                prompt,
                {**plain, "stopping_criteria": [*plain.get("stopping_criteria", ()), _OneMore(one)]},
                one,
            )
            for one in forced
        ]
        for one, result in zip(forced, host.generate_batch(requests), strict=True):
            found[one.text] = one.after if len(result.token_ids) > len(one.text) else None
    return found


class _OneMore:
    """The stopping criterion: a token was written behind the forced text."""

    def __init__(self, forced: Forced) -> None:
        self.forced = forced

    def __call__(self, ids: Tensor, scores: None) -> bool:
        return ids.shape[1] > self.forced.prompt_length + len(self.forced.text)
