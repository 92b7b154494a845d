"""How long a request waits for its first mask, for a refusal, and for masks while the model runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from json_cases import JsonCase
from mask_cases import REFUSED_PATTERN, deep_schema, large_schema, wide_schema
from measure import Clock

from decodeplug.constraints import json_schema, regex, within_budget
from decodeplug.errors import DecodeplugError
from decodeplug.vocabulary import Vocabulary

__all__ = ["FirstMask", "Hidden", "first_masks", "hidden", "refusals"]

_PREFIXES = itertools.count()


@dataclass(frozen=True)
class FirstMask:
    """Milliseconds until the first mask: of schemas that are new, and of one that is known; each step of the last new one."""

    new_ms: list[float]
    known_ms: list[float]
    steps_ms: dict[str, float]


def _until_first_mask(
    schema: dict[str, Any], layout: str, vocabulary: Vocabulary, budget: int, clock: Clock
) -> dict[str, float]:
    """Seconds of each step that a request takes before its first token."""
    marks = [clock()]
    spec = json_schema(schema, layout=layout)
    marks.append(clock())
    constraint = spec.compile(vocabulary)
    marks.append(clock())
    held = within_budget(constraint, (type(spec), spec.kind, spec.key()), vocabulary, budget)
    marks.append(clock())
    assert held is not None
    held.allowed(held.start())
    marks.append(clock())
    steps = ("schema", "compile", "budget", "mask")
    return {name: after - before for name, before, after in zip(steps, marks, marks[1:], strict=False)}


def first_masks(count: int, layout: str, vocabulary: Vocabulary, repeats: int, clock: Clock) -> FirstMask:
    """For objects of so many properties. What a process pays once for its vocabulary is paid before."""
    budget = 100 * count
    _until_first_mask(wide_schema(8, f"warm{next(_PREFIXES)}"), layout, vocabulary, budget, clock)
    new, known = [], []
    for _ in range(repeats):
        schema = wide_schema(count, f"field{next(_PREFIXES)}")
        new.append(_until_first_mask(schema, layout, vocabulary, budget, clock))
        known += [sum(_until_first_mask(schema, layout, vocabulary, budget, clock).values()) * 1e3 for _ in range(3)]
    total = [sum(steps.values()) * 1e3 for steps in new]
    return FirstMask(total, known, {name: seconds * 1e3 for name, seconds in new[-1].items()})


def refusals(vocabulary: Vocabulary) -> dict[str, float]:
    """Seconds until what cannot be enforced is refused; each must be."""
    exploding = {"type": "object", "properties": {"name": {"type": "string", "pattern": REFUSED_PATTERN}}}
    asked: dict[str, Callable[[], Any]] = {
        "a schema that is too deep": lambda: json_schema(deep_schema()).compile(vocabulary),
        "a schema that is too large": lambda: json_schema(large_schema()).compile(vocabulary),
        "a pattern in a schema that explodes": lambda: json_schema(exploding).compile(vocabulary),
        "a pattern that explodes": lambda: regex(REFUSED_PATTERN.strip("^$")).compile(vocabulary),
    }
    taken = {}
    for name, ask in asked.items():
        began = time.perf_counter()
        try:
            ask()
        except DecodeplugError:
            taken[name] = time.perf_counter() - began
        else:
            raise AssertionError(f"{name} was not refused")
    return taken


@dataclass(frozen=True)
class Hidden:
    """Seconds of one generation, all steps together, and its tokens."""

    name: str
    tokens: int
    forward_s: float
    mask_s: float
    wait_s: float


def hidden(host: Any, cases: Sequence[JsonCase]) -> list[Hidden]:
    """Generate each case, greedily, and read the trace. The first is generated twice: the first time warms up."""
    found = []
    for case in (cases[0], *cases):
        trace = host.generate(case.messages, constraint=case.schema, max_new_tokens=case.max_new_tokens).trace
        forward_s = sum(step.forward_s for step in trace.steps)
        found.append(Hidden(case.name, trace.tokens, forward_s, trace.mask_s, trace.wait_s))
    return found[1:]
