"""The laws of a strategy: it names what exists, draws noise as it says, and does not look at its neighbours.

One that decides between several texts judges them by nothing but themselves, and is not settled too early.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from decodeplug.errors import DecodeplugError
from decodeplug.jury import Jury
from decodeplug.request import Request
from decodeplug.spec import Spec
from decodeplug.testing.claim import claim, declared_name

__all__ = ["check_strategy"]

_NAMED = ("strategy", "selector", "drafter")
_MIXTURES = 200  # of paths, that a jury is asked about


def check_strategy(
    strategy: Any,
    host: Any,
    prompts: Sequence[Any] = ("The bear ", "{", "a"),
    *,
    max_new_tokens: int = 16,
    **options: Any,
) -> None:
    """Check that a strategy keeps its contract (``decodeplug.contracts.Strategy``, ``decodeplug.jury.Jury``).

    :param strategy: The part; the host must know one of its name.
    :param host: A ``decodeplug.Host``, best around a ``tiny_model``.
    :param prompts: What to continue.
    :param options: Further options of every request, for example the ``assistant`` that it drafts with.
    :raises AssertionError: A law is broken; the message says which.
    """
    name = declared_name(strategy)
    samples = getattr(strategy, "samples", "")
    claim(samples in (True, False, None), f"strategy {name}: samples is {samples!r}, not True, False or None")
    known = {kind: {offer.name for offer in host.parts() if offer.kind == kind} for kind in _NAMED}
    claim(name in known["strategy"], f"the host knows no strategy {name}")
    selector = getattr(strategy, "selector", None)
    claim(selector in known["selector"], f"strategy {name}: there is no selector {selector!r}")
    named = {
        Spec.of(part).name if isinstance(part, str | Mapping) else part.name for part in options.get("drafters") or ()
    }
    for drafter in _drafters_of(strategy, name, host.target.module, named):
        claim(Spec.of(drafter).name in known["drafter"], f"strategy {name}: there is no drafter {drafter!r}")

    given: dict[str, Any] = {"strategy": strategy, "max_new_tokens": max_new_tokens, **options}

    def texts(seed: int) -> list[list[int]]:
        together = host.generate_batch([Request(prompt, seed=seed, **given) for prompt in prompts])
        for prompt, result in zip(prompts, together, strict=True):
            alone = host.generate(prompt, seed=seed, **given).token_ids
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
    if isinstance(strategy, Jury):
        _check_jury(strategy, name, host, prompts, given)


def _drafters_of(strategy: Any, name: str, model: Any, named: set[str]) -> list[Any]:
    """Its own, where a request names these."""
    choose = getattr(strategy, "drafters_for", None)
    try:
        return list(getattr(strategy, "drafters", ()) if choose is None else choose(model, named))
    except DecodeplugError:
        raise
    except Exception as error:
        raise AssertionError(f"strategy {name}: drafters_for failed: {type(error).__name__}: {error}") from error


def _check_jury(jury: Any, name: str, host: Any, prompts: Sequence[Any], given: dict[str, Any]) -> None:
    pool: list[Any] = []
    for prompt in prompts:
        request = Request(prompt, seed=0, **given)
        result = host.generate_batch([request])[0]
        paths = [result, *result.alternatives]
        wanted = jury.lanes(request)
        claim(len(paths) == wanted, f"strategy {name}: {len(paths)} paths, where lanes() said {wanted}")
        pool += [path for path in paths if path.finish_reason != "cancelled"]
    for path in pool:
        path.answer = jury.answer_of(path)  # those that had no say were not asked
        claim(
            jury.answer_of(path) == path.answer, f"strategy {name} reads another answer the second time: {path.text!r}"
        )
    chance = random.Random(0)
    for _ in range(_MIXTURES):
        few = chance.sample(pool, min(len(pool), chance.randint(1, 3)))  # of few, so that they agree now and then
        paths, others = chance.choices(few, k=chance.randint(1, 5)), chance.choices(few, k=chance.randint(0, 5))
        decision = jury.decide(paths)
        claim(
            sorted(decision.order) == list(range(len(paths))),
            f"strategy {name}: the order {decision.order} does not have each of {len(paths)} paths once",
        )
        claim(jury.decide(paths) == decision, f"strategy {name} decides otherwise the second time")
        if jury.is_settled(paths, len(others)):
            after = [*paths, *others]
            first, last = paths[decision.order[0]].answer, after[jury.decide(after).order[0]].answer
            claim(first == last, f"strategy {name}: {first!r} was settled, and turned into {last!r}")
