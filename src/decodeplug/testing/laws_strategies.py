"""The laws of a strategy: it names what exists, draws noise as it says, and does not look at its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from decodeplug.request import Request
from decodeplug.testing.claim import claim, declared_name

__all__ = ["check_strategy"]

_NAMED = ("strategy", "selector", "drafter")


def check_strategy(
    strategy: Any, host: Any, prompts: Sequence[Any] = ("The bear ", "{", "a"), *, max_new_tokens: int = 16
) -> None:
    """Check that a strategy keeps its contract (``decodeplug.contracts.Strategy``).

    :param strategy: The part; the host must know one of its name.
    :param host: A ``decodeplug.Host``, best around a ``tiny_model``.
    :param prompts: What to continue.
    :raises AssertionError: A law is broken; the message says which.
    """
    name = declared_name(strategy)
    samples = getattr(strategy, "samples", "")
    claim(samples in (True, False, None), f"strategy {name}: samples is {samples!r}, not True, False or None")
    known = {kind: {offer.name for offer in host.parts() if offer.kind == kind} for kind in _NAMED}
    claim(name in known["strategy"], f"the host knows no strategy {name}")
    selector = getattr(strategy, "selector", None)
    claim(selector in known["selector"], f"strategy {name}: there is no selector {selector!r}")
    for drafter in getattr(strategy, "drafters", ()):
        claim(drafter in known["drafter"], f"strategy {name}: there is no drafter {drafter!r}")

    def texts(seed: int) -> list[list[int]]:
        options: dict[str, Any] = {"strategy": name, "max_new_tokens": max_new_tokens}
        together = host.generate_batch([Request(prompt, seed=seed, **options) for prompt in prompts])
        for prompt, result in zip(prompts, together, strict=True):
            alone = host.generate(prompt, seed=seed, **options).token_ids
            claim(
                list(alone) == list(result.token_ids),
                f"strategy {name}: {prompt!r} gives {alone} alone, but {result.token_ids} among others",
            )
        return [list(result.token_ids) for result in together]

    by_seed = [texts(seed) for seed in range(3)]
    claim(texts(0) == by_seed[0], f"strategy {name}: the same seed gives another text the second time")
    same = all(found == by_seed[0] for found in by_seed)
    claim(samples is True or same, f"strategy {name} draws noise although it says that it does not")
    claim(samples is not True or not same, f"strategy {name} draws no noise although it says that it does")
