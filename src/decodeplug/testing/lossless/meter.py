"""The meter: draws texts with a recipe and without, compares them, and says what that shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from decodeplug.errors import BadOption
from decodeplug.host import Host
from decodeplug.recipe import Recipe
from decodeplug.result import Result
from decodeplug.score import near_tie_bound
from decodeplug.testing.lossless import comparisons
from decodeplug.testing.lossless.enumeration import MOST_TEXTS, every_text
from decodeplug.testing.lossless.law import Look, Reading, read
from decodeplug.testing.lossless.law_tests import LawTests
from decodeplug.testing.lossless.plain import (
    Prompted,
    Tell,
    draw,
    options_of,
    plain_options,
    recipe_options,
    selector_of,
)
from decodeplug.testing.lossless.statistics import most_that_differ
from decodeplug.testing.lossless.verdict import Finding, Outcome, Verdict, enough

__all__ = ["PROMPTS", "SAMPLES", "TOKENS", "verify_lossless"]

PROMPTS = ("The bear ", "a b a b a b a", "{")
SAMPLES, TOKENS = 400, 16
_READ_AGAIN = 32  # plain texts that are written again, to see whether plain sampling is a law at all
_ROUNDING = 100  # times the bound of near ties: log-probabilities that differ by more differ
_TOKEN_CLASSES = 31


def verify_lossless(
    host: Host,
    recipe: Recipe | Mapping[str, Any],
    prompts: Sequence[Any] = PROMPTS,
    *,
    against: Recipe | Mapping[str, Any] | None = None,
    samples: int = SAMPLES,
    tokens: int | None = None,
    alpha: float = 0.001,
    bound: float = 0.1,
    same_ids: bool | None = None,
    cache: Any = "dense",
    seed: int = 0,
    batch: int = 32,
    tell: Tell = lambda what, done, of: None,
) -> Verdict:
    """Is the law of a recipe's texts that of plain sampling?

    Plain sampling has the recipe's constraint, processors and ends, no drafts, and the selector ``match``. With that
    selector in the recipe, texts of the same seeds are compared id by id; with another, samples are compared
    with the law that plain sampling has for every next token, and for whole texts where these are few.

    :param host: Best around a model in float64 or float32: in half precision a wider forward is another law.
    :param recipe: A ``Recipe``, or options of a request, in which parts may be objects.
    :param prompts: What to continue, in turn; best such that drafts are made.
    :param against: Another recipe whose plain sampling is the law; None is this one's own.
    :param samples: Texts to draw with the recipe, and as many without.
    :param tokens: New tokens of a text at most; None is what the recipe says, else 16.
    :param alpha: Probability with which a right recipe may fail, all tests together.
    :param bound: Total-variation distance that must have been found, were it there, for a pass.
    :param same_ids: Whether the recipe promises the ids themselves; None: if its selector is ``match``.
    :param cache: That of plain samples. What they are held to is read with ``"none"``.
    :param seed: The first of the seeds; others follow. :param batch: Texts that are decoded together.
    :param tell: Called with what is going on, how much of it is done, and of how much.
    :raises BadOption: A number has a value that it cannot have, or there is no prompt.
    :raises DecodeplugError: The recipe cannot run, or failed.
    """
    numbers: dict[str, tuple[Any, bool, str]] = {
        "samples": (samples, samples >= 1, "at least 1"),
        "tokens": (tokens, tokens is None or tokens >= 1, "at least 1"),
        "batch": (batch, batch >= 1, "at least 1"),
        "alpha": (alpha, 0 < alpha < 1, "a probability in (0, 1)"),
        "bound": (bound, 0 < bound <= 1, "a distance in (0, 1]"),
    }
    for name, (value, fits, wanted) in numbers.items():
        if not fits:
            raise BadOption("verify_lossless", wanted=wanted, **{name: value})
    if isinstance(prompts, str) or not prompts:
        raise BadOption("verify_lossless", prompts=prompts, wanted="a list of prompts, at least one")
    options = options_of(recipe)
    length = tokens if tokens is not None else options.get("max_new_tokens") or TOKENS
    law = options if against is None else options_of(against)
    meter = _Meter(
        host=host,
        prompts=list(prompts),
        options=recipe_options(options, length),
        plain=plain_options(host, law, length, cache),
        tokens=length,
        alpha=alpha,
        bound=bound,
        seed=seed,
        batch=batch,
        tell=tell,
    )
    return meter.verdict(samples, same_ids)


@dataclass(slots=True)
class _Meter:
    host: Host
    prompts: list[Any]
    options: dict[str, Any]
    plain: dict[str, Any]
    tokens: int
    alpha: float
    bound: float
    seed: int
    batch: int
    tell: Tell
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drawn: list[Result] = field(default_factory=list)

    def verdict(self, samples: int, same_ids: bool | None) -> Verdict:
        choosers = [selector_of(self.host, prompt, self.options) for prompt in self.prompts]
        noisy = bool(getattr(selector_of(self.host, self.prompts[0], self.plain), "sample", False))
        matches = choosers[0].name == "match" if same_ids is None else same_ids
        if not noisy:
            samples, matches = len(self.prompts), True
            self.notes.append("no noise is drawn, so each prompt has one text")
        wanted = [Prompted(index % len(self.prompts), self.seed + index) for index in range(samples)]
        self.drawn = draw(
            self.host, self.prompts, self.options, wanted, batch=self.batch, tell=self.tell, what="with the recipe"
        )
        if matches:
            reached = self._same_seeds(wanted, noisy)
            if reached is None or not noisy or reached <= self.bound:
                return self._concluded("whole texts", reached)
        others = [replace(one, seed=one.seed + samples) for one in wanted]
        plain = self._plainly(others, "without drafts")
        if not self._is_a_law(others, plain):
            return self._concluded("whole texts", None)
        return self._held_to_the_law(others, plain)

    def _plainly(self, wanted: Sequence[Prompted], what: str) -> list[Result]:
        """Plain samples, drawn in another order and in other batches than the recipe's, as nothing may depend on them."""
        backwards = draw(
            self.host, self.prompts, self.plain, wanted[::-1], batch=self.batch * 3 // 4 + 1, tell=self.tell, what=what
        )
        return backwards[::-1]

    def _same_seeds(self, wanted: Sequence[Prompted], noisy: bool) -> float | None:
        """Compare texts of the same seeds; the distance that was excluded, or None if they differ."""
        plain = self._plainly(wanted, "without drafts, same seeds")
        pairs = comparisons.pair_up(self.drawn, plain)
        says = f"{pairs.same} of {len(wanted)} texts of the same seeds have the same ids"
        if pairs.rounding:
            says += f"; {pairs.rounding} differ first where two tokens were so close that rounding may decide"
        if pairs.first is not None:
            index, at = pairs.first
            where = f"prompt {wanted[index].prompt}, seed {wanted[index].seed}, from token {at} on"
            self._add(
                "same ids", f"{says}; {pairs.differ} differ for no such reason, the first at {where}", failed=True
            )
            return None
        if noisy and not self._is_a_law(wanted, plain):
            return None
        reached = most_that_differ(pairs.rounding, len(wanted), self.alpha) if noisy else pairs.rounding / len(wanted)
        self._add("same ids", says, smallest_tv=reached)
        return reached

    def _is_a_law(self, wanted: Sequence[Prompted], plain: Sequence[Result]) -> bool:
        """Does plain sampling give its own texts the same probabilities twice?"""
        some = [(one.prompt, tuple(result.token_ids)) for one, result in zip(wanted, plain, strict=True)][:_READ_AGAIN]
        readings = self._read(some, Look(), "plain texts again")
        bound = _ROUNDING * near_tie_bound(self.host.target.module.dtype)
        says = comparisons.contradiction(plain[: len(some)], readings, bound)
        if says:
            says = f"plain sampling contradicts itself, so a part keeps something from call to call: {says}"
        same = f"{len(some)} plain texts, written again, have the same probabilities"
        self._add("plain sampling is a law", says or same, failed=bool(says))
        return not says

    def _read(self, texts: Sequence[tuple[int, tuple[int, ...]]], look: Look, what: str) -> list[Reading]:
        return read(self.host, self.prompts, self.plain, texts, look, batch=self.batch, tell=self.tell, what=what)

    def _held_to_the_law(self, wanted: Sequence[Prompted], plain: Sequence[Result]) -> Verdict:
        texts = [(one.prompt, tuple(result.token_ids)) for one, result in zip(wanted, self.drawn, strict=True)]
        readings = self._read(texts, self._look(plain), "the law of its texts")
        broken = next((index for index, reading in enumerate(readings) if reading.violation), None)
        if broken is not None:
            where = f"prompt {wanted[broken].prompt}, seed {self.seed + broken}"
            says = f"plain sampling cannot write the text of {where}: {readings[broken].violation}"
            self._add("possible texts", says, failed=True)
            return self._concluded("whole texts", None)
        self._add("possible texts", f"plain sampling can write all {len(texts)} texts")
        tests = LawTests(texts, readings, plain, self._laws(), alpha=self.alpha, seed=self.seed)
        self.findings += tests.findings()
        return self._concluded(tests.of, tests.smallest_tv)

    def _look(self, plain: Sequence[Result]) -> Look:
        """What to keep of laws: tokens that plain texts have often, and beginnings that many of the recipe's share."""
        common = Counter(token for result in plain for token in result.token_ids).most_common(_TOKEN_CLASSES)
        shared = Counter(
            (*result.prompt_ids, *result.token_ids[:at]) for result in self.drawn for at in range(len(result.token_ids))
        )
        often = frozenset(prefix for prefix, count in shared.items() if count >= comparisons.OFTEN)
        return Look(tuple(sorted(token for token, _ in common)), often, 5 / len(self.drawn))

    def _laws(self) -> list[dict[tuple[int, ...], float]] | None:
        """Of each prompt every text and its probability; None if these are too many for so many samples."""
        limit = min(MOST_TEXTS, len(self.drawn) // (5 * len(self.prompts)))
        laws: list[dict[tuple[int, ...], float]] = []
        for prompt in self.prompts:
            law = every_text(self.host, prompt, self.plain, limit=limit, batch=self.batch, tell=self.tell)
            if law is None:
                return None
            laws.append(law)
        return laws

    def _add(self, name: str, says: str, *, failed: bool = False, smallest_tv: float | None = None) -> None:
        self.findings.append(Finding(name, says, failed=failed, smallest_tv=smallest_tv))

    def _concluded(self, of: str, reached: float | None) -> Verdict:
        """The verdict. :param reached: Smallest distance that was excluded; None where that does not matter."""
        smallest = 1.0 if reached is None else reached
        drafted = sum(len(step.drafted) for result in self.drawn for step in result.trace.steps)
        outcome, because, wanted = self._outcome(of, smallest, drafted)
        return Verdict(
            outcome=outcome,
            because=because,
            smallest_tv=smallest,
            of=of,
            bound=self.bound,
            alpha=self.alpha,
            samples=len(self.drawn),
            tokens=self.tokens,
            wanted_samples=wanted,
            drafted=drafted,
            kept=sum(step.kept for result in self.drawn for step in result.trace.steps),
            findings=tuple(self.findings),
            notes=tuple(self.notes),
        )

    def _outcome(self, of: str, smallest: float, drafted: int) -> tuple[Outcome, str, int | None]:
        if failed := [finding for finding in self.findings if finding.failed]:
            return "fail", "; ".join(f"{finding.name}: {finding.says}" for finding in failed), None
        found = f"a distance of {smallest:.3f} between the laws of {of}"
        if smallest > self.bound:
            wanted = enough(smallest, self.bound, len(self.drawn))
            because = f"only {found} or more would have been found, and {self.bound:g} was wanted"
            return "not enough samples", f"{because}; about {wanted} samples are enough", wanted
        if not drafted and any(result.trace.drafters for result in self.drawn):
            because = (
                "no token was drafted; choose prompts, or a number of tokens, that give the drafters something to say"
            )
            return "not enough samples", because, None
        return "pass", f"no difference was found, and {found} would have been", None
