"""The meter finds parts that are broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lossless_parts import Letters, Plugin, Remembers, Samples

from decodeplug import Host, regex
from decodeplug.testing import byte_tokenizer, tiny_model, verify_lossless
from decodeplug.testing.lossless.enumeration import every_text
from decodeplug.testing.lossless.plain import plain_options

LOOKUP = ["lookup=min_ngram=1"]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    tokenizer = byte_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[Plugin()]) as host:
        yield host


@pytest.fixture(scope="module")
def small() -> Iterator[Host]:
    """Five ordinary ids and an end: its texts can be enumerated."""
    with Host(tiny_model(vocab=8, layers=1), None, plugins=[Plugin()]) as host:
        yield host


def failures(verdict: object) -> set[str]:
    return {finding.name for finding in getattr(verdict, "findings", ()) if finding.failed}


def test_a_selector_that_accepts_every_draft_is_found(host: Host) -> None:
    verdict = verify_lossless(host, {"strategy": Samples("accepts-all"), "drafters": LOOKUP}, samples=40)
    assert verdict.outcome == "fail"
    assert {"likely and unlikely tokens", "surprise of tokens"} <= failures(verdict)


def test_a_token_that_the_processors_forbid_is_found_by_itself(host: Host) -> None:
    recipe = {"strategy": Samples("accepts-all"), "drafters": LOOKUP, "processors": ["top-k=2"]}
    verdict = verify_lossless(host, recipe, samples=40)
    assert verdict.outcome == "fail"
    assert failures(verdict) == {"possible texts"}
    assert "cannot follow there" in verdict.because


@pytest.mark.parametrize(("selector", "minds", "outcome"), [("rejects", True, "pass"), ("rejects-late", False, "fail")])
def test_a_sampled_draft_that_is_cut_where_the_rule_should_reject_is_found(
    host: Host, selector: str, minds: bool, outcome: str
) -> None:
    recipe = {"strategy": Samples(selector), "constraint": regex("[xyz]{2}"), "drafters": [Letters(minds)]}
    # How long drafts are depends on measured times, so no seed fixes these texts: a right pair may fail once in a million.
    verdict = verify_lossless(host, recipe, ["ab"], samples=1000, tokens=4, alpha=1e-6, bound=0.3, batch=200)
    assert verdict.outcome == outcome, verdict
    assert verdict.of == "whole texts"
    assert verdict.kept > 0


@pytest.mark.parametrize("drafters", [[], LOOKUP])
def test_a_processor_that_keeps_state_is_found_by_the_ids_of_a_seed(host: Host, drafters: list[str]) -> None:
    recipe = {"strategy": "sample", "drafters": drafters, "processors": [Remembers()]}
    verdict = verify_lossless(host, recipe, samples=40)
    assert verdict.outcome == "fail"
    assert failures(verdict) == {"same ids"}


def test_a_processor_that_keeps_state_is_found_where_no_ids_are_promised(host: Host) -> None:
    recipe = {"strategy": Samples("other-noise"), "drafters": LOOKUP, "processors": [Remembers()]}
    verdict = verify_lossless(host, recipe, samples=40)
    assert verdict.outcome == "fail"
    assert "plain sampling contradicts itself" in verdict.because


def test_a_temperature_of_0_97_is_found_by_the_ids_of_a_seed(host: Host) -> None:
    verdict = verify_lossless(host, {"processors": ["temperature=0.97"]}, against={"strategy": "sample"}, samples=40)
    assert verdict.outcome == "fail"
    assert failures(verdict) == {"same ids"}


@pytest.mark.parametrize("samples", [50, 400])
def test_a_temperature_of_0_97_never_passes_where_it_would_have_been_found(small: Host, samples: int) -> None:
    prompt = [1, 3, 0, 2]
    laws = [
        every_text(
            small,
            prompt,
            plain_options(small, {"strategy": "sample", "processors": processors}, 2, "dense"),
            limit=100,
            batch=50,
            tell=lambda *_: None,
        )
        for processors in ([], ["temperature=0.97"])
    ]
    right, warm = laws
    assert right is not None
    assert warm is not None
    distance = sum(abs(right[text] - warm[text]) for text in right) / 2
    assert 0 < distance < 0.02
    recipe = {"strategy": Samples("warm")}
    claimed = verify_lossless(small, recipe, [prompt], samples=samples, tokens=2, bound=1.0, batch=250)
    assert claimed.smallest_tv > distance  # so a pass with this many samples would claim nothing of it
    strict = verify_lossless(small, recipe, [prompt], samples=samples, tokens=2, bound=distance, batch=250)
    assert strict.outcome != "pass"


@pytest.mark.slow
def test_a_temperature_of_0_97_is_found_by_enough_samples(host: Host) -> None:
    recipe = {"strategy": Samples("warm"), "drafters": LOOKUP}
    verdict = verify_lossless(host, recipe, samples=2000, batch=100)
    assert verdict.outcome == "fail"
    assert "surprise of tokens" in failures(verdict)
