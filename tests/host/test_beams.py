"""Beams at the front door: what is returned, refused, streamed, and how a search is cut short."""

from __future__ import annotations

import time
from typing import Any

import pytest
from transformers.cache_utils import DynamicLayer

from decodeplug import BadOption, Host, IncompatibleParts, Request, choice, hookimpl, regex
from decodeplug.result import Result

PROMPT = "The red bear reads a book about the moon: "
BEAMS: dict[str, Any] = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 24}


def hypotheses(result: Result) -> list[Result]:
    return [result, *result.alternatives]


def scores(result: Result) -> list[float]:
    return [one.score for one in hypotheses(result) if one.score is not None]


def test_more_than_one_beam_means_the_strategy_beam(host: Host) -> None:
    named = host.generate(PROMPT, strategy="beam", num_beams=3, max_new_tokens=12)
    unnamed = host.generate(PROMPT, num_beams=3, max_new_tokens=12)
    assert named.token_ids == unnamed.token_ids
    assert named.trace.strategy == unnamed.trace.strategy == "beam"


def test_the_strategy_beam_has_four_unless_told_otherwise(host: Host) -> None:
    four = host.generate(PROMPT, num_beams=4, max_new_tokens=12)
    assert host.generate(PROMPT, strategy="beam", max_new_tokens=12).token_ids == four.token_ids
    one = host.generate(PROMPT, strategy="beam", num_beams=1, early_stopping=True, max_new_tokens=12)
    greedy = host.generate(PROMPT, max_new_tokens=12)
    assert one.token_ids == greedy.token_ids != four.token_ids


def test_the_best_come_first_and_each_has_its_score(host: Host) -> None:
    result = host.generate(PROMPT, **BEAMS, length_penalty=0.7)
    found = hypotheses(result)
    assert len({tuple(one.token_ids) for one in found}) == len(scores(result)) == 4
    assert scores(result) == sorted(scores(result), reverse=True)
    for one in found:
        assert one.score == pytest.approx(sum(one.logprobs) / len(one.token_ids) ** 0.7, abs=1e-4)
        assert one.logprobs == pytest.approx(host.score(PROMPT, one.token_ids), abs=1e-4)
    assert host.generate(PROMPT, max_new_tokens=4).score is None


def test_each_hypothesis_keeps_the_numbers_of_its_own_tokens(host: Host) -> None:
    result = host.generate(PROMPT, **BEAMS, logprobs=3, raw_logprobs=True, processors=['bias={"300": 2.0}'])
    for one in hypotheses(result):
        assert one.raw_logprobs == pytest.approx(host.score(PROMPT, one.token_ids), abs=1e-4)
        assert one.top_logprobs is not None
        assert len(one.top_logprobs) == len(one.logprobs) == len(one.token_ids)
        for token, logprob, top in zip(one.token_ids, one.logprobs, one.top_logprobs, strict=True):
            assert dict(top).get(token, logprob) == pytest.approx(logprob)


def test_beams_are_drawn_where_a_temperature_is_named_or_it_is_said(host: Host) -> None:
    certain = host.generate(PROMPT, **BEAMS).token_ids
    drawn = {tuple(host.generate(PROMPT, **BEAMS, do_sample=True, seed=seed).token_ids) for seed in range(3)}
    assert len(drawn) == 3
    shaped = host.generate(PROMPT, **BEAMS, processors=["temperature=1.0"], seed=1).token_ids
    assert shaped == host.generate(PROMPT, **BEAMS, do_sample=True, seed=1).token_ids != certain
    assert host.generate(PROMPT, **BEAMS, processors=["temperature=1.0"], do_sample=False).token_ids == certain


def test_fewer_hypotheses_are_returned_where_a_constraint_has_fewer_texts(host: Host) -> None:
    found = hypotheses(host.generate(PROMPT, constraint=choice(["a", "b", "c"]), **BEAMS))
    assert sorted(one.text for one in found) == ["a", "b", "c"]
    assert all(one.value == one.text and one.finish_reason == "stop" for one in found)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_beams": 0}, "num_beams=0"),
        ({"num_beams": 3, "num_return_sequences": 4}, "at most num_beams, 3"),
        ({"num_return_sequences": 2}, "unless the strategy samples or has beams"),
        ({"length_penalty": 2.0}, "length_penalty=2.0"),
        ({"early_stopping": "never"}, "early_stopping='never'"),
        ({"num_beams": 2, "early_stopping": "perhaps"}, "early_stopping='perhaps'"),
        ({"num_beams": 2, "length_penalty": "long"}, "length_penalty='long'"),
    ],
)
def test_options_that_mean_nothing_are_refused(host: Host, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        host.generate(PROMPT, max_new_tokens=4, **options)


@pytest.mark.parametrize(
    ("options", "pair"),
    [
        ({"num_beams": 3, "strategy": "greedy"}, ("strategy 'greedy'", "num_beams=3")),
        ({"num_beams": 3, "strategy": "sample"}, ("strategy 'sample'", "num_beams=3")),
        ({"num_beams": 3, "acceptance": "rejection"}, ("strategy 'beam'", "acceptance='rejection'")),
        ({"num_beams": 3, "acceptance": "rejection", "do_sample": True}, ("strategy 'beam'", "acceptance='rejection'")),
    ],
)
def test_beams_and_what_has_none_are_refused_as_a_pair(
    host: Host, options: dict[str, Any], pair: tuple[str, str]
) -> None:
    with pytest.raises(IncompatibleParts) as caught:
        host.generate(PROMPT, max_new_tokens=4, **options)
    assert (caught.value.part, caught.value.other) == pair


@pytest.mark.parametrize("beams", [2, 4, 7])
def test_few_rows_of_the_cache_are_moved(
    host: Host, model: Any, tokenizer: Any, beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beam that goes on with the hypothesis that stood in its place stays there; transformers writes all of them anew."""
    moved, reorder = 0, DynamicLayer.reorder_cache

    def counted(self: Any, beam_idx: Any) -> None:
        nonlocal moved
        reorder(self, beam_idx)
        moved += sum(part.numel() * part.element_size() for part in (self.keys, self.values))

    monkeypatch.setattr(DynamicLayer, "reorder_cache", counted)
    options: dict[str, Any] = {"num_beams": beams, "max_new_tokens": 48}
    ours = host.generate(PROMPT, end_ids=[], **options)
    ids = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    theirs = model.generate(**ids, do_sample=False, eos_token_id=None, **options)
    assert theirs[0, ids["input_ids"].shape[1] :].tolist() == ours.token_ids
    assert 0 < ours.trace.cache["copied_bytes"] < moved / 3


def test_only_forced_drafts_are_taken(host: Host) -> None:
    with pytest.raises(IncompatibleParts) as caught:
        host.generate(PROMPT, num_beams=2, drafters=["forced", "lookup"], max_new_tokens=4)
    assert (caught.value.part, caught.value.other) == ("selector 'beam'", "drafter 'lookup'")
    result = host.generate(PROMPT, num_beams=2, constraint=regex("the one thing[ab]{3}"), max_new_tokens=24)
    assert result.trace.drafters == ("forced",)
    assert result.trace.forwards < len(result.token_ids)


def test_a_stream_shows_what_all_that_can_win_agree_on_and_takes_nothing_back(host: Host) -> None:
    pattern = "(red|blue) as in the book about [a-z]{5} that ends here"
    for options in ({}, {"constraint": regex(pattern)}, {"early_stopping": True, "stop": ["re", "a"]}):
        stream = host.stream(PROMPT, num_beams=3, **{"max_new_tokens": 48, **options})
        chunks = list(stream)
        result = stream.result
        whole = host.generate(PROMPT, num_beams=3, **{"max_new_tokens": 48, **options})
        assert result.token_ids == whole.token_ids
        assert "".join(chunk.text for chunk in chunks) == result.text == whole.text
        assert [token for chunk in chunks for token in chunk.token_ids] == result.token_ids
        assert all(len(chunk.sources) == len(chunk.token_ids) for chunk in chunks)
        assert len(chunks) == result.trace.forwards
    assert sum(bool(chunk.token_ids) for chunk in list(host.stream(PROMPT, num_beams=3, max_new_tokens=48))) > 2


def test_a_cancelled_search_ends_with_the_best_of_what_it_has(host: Host) -> None:
    stream = host.stream(PROMPT, num_beams=3, num_return_sequences=3, max_new_tokens=48)
    for _ in range(5):
        next(stream)
    stream.cancel()
    result = stream.result
    assert result.finish_reason == "cancelled"
    assert len(result.token_ids) == 6
    assert scores(result) == sorted(scores(result), reverse=True)


def test_a_timeout_ends_a_search_and_its_neighbours_go_on(host: Host) -> None:
    def slow(ids: Any, scores: Any) -> bool:
        time.sleep(0.01)
        return False

    late = Request(PROMPT, num_beams=3, timeout_s=0.2, stopping_criteria=[slow], max_new_tokens=400)
    cut, other = host.generate_batch([late, Request(PROMPT, **BEAMS)])
    assert cut.finish_reason == "timeout"
    assert other.token_ids == host.generate(PROMPT, **BEAMS).token_ids


def test_a_criterion_that_fails_fails_its_own_request_by_name(host: Host) -> None:
    def broken(ids: Any, scores: Any) -> bool:
        raise RuntimeError("no")

    rows = [Request(PROMPT, **BEAMS, stopping_criteria=[broken]), Request(PROMPT, **BEAMS)]
    failed, good = host.generate_batch(rows, return_errors=True)
    assert "failed in clip: RuntimeError: no" in str(failed.error)
    assert good.token_ids == host.generate(PROMPT, **BEAMS).token_ids


def test_beams_greedy_and_sampled_rows_stand_side_by_side(host: Host) -> None:
    rows = [
        Request(PROMPT, max_new_tokens=20),
        Request("a", **BEAMS),
        Request(PROMPT, strategy="sample", num_return_sequences=2, seed=3, max_new_tokens=9),
        Request("2024-01-31", **{**BEAMS, "num_beams": 6}),
        Request("a", constraint=regex("[ab]{9}"), num_beams=3, max_new_tokens=24),
    ]
    for row, result in zip(rows, host.generate_batch(rows), strict=True):
        alone = host.generate(row.prompt, **row.options)
        assert [one.token_ids for one in hypotheses(result)] == [one.token_ids for one in hypotheses(alone)]


def test_what_a_joint_selector_returns_is_checked(model: Any, tokenizer: Any) -> None:
    from decodeplug import PluginError
    from decodeplug.selectors import Beam

    for change, says in (
        (lambda found: [found[0]._replace(parent=9)], "none of the 1 lanes"),
        (lambda found: [found[0]._replace(rows=range(4, 5))], "not rows of that lane"),
        (lambda found: [found[0]._replace(tokens=(99_999,))], "did not propose 99999"),
        (lambda found: [found[0], found[0]], "one of them twice"),
    ):

        class Wrong(Beam):
            def extend(self, candidates: Any, values: Any, rows: Any, change: Any = change) -> Any:
                return change(Beam.extend(self, candidates, values, rows))

        class Plugin:
            @hookimpl
            def decodeplug_register(self, registry: Any, made: Any = Wrong) -> None:
                registry.selector("wrong", made)
                registry.strategy("wrong", lambda: WrongStrategy())

        class WrongStrategy:
            name, samples, drafters, selector = "wrong", False, (), "wrong"

        with pytest.raises(PluginError, match=says):
            Host(model, tokenizer, plugins=[Plugin()]).generate(PROMPT, strategy="wrong", max_new_tokens=3)


def test_a_host_that_uses_the_generation_config_takes_its_beams(model: Any, tokenizer: Any) -> None:
    config, before = model.generation_config, model.generation_config.num_beams
    config.num_beams, config.length_penalty = 3, 2.0
    try:
        configured = Host(model, tokenizer, plugins=[], use_generation_config=True)
    finally:
        config.num_beams, config.length_penalty = before, None
    expected = Host(model, tokenizer, plugins=[]).generate(PROMPT, num_beams=3, length_penalty=2.0, max_new_tokens=16)
    assert configured.generate(PROMPT, max_new_tokens=16).token_ids == expected.token_ids
    assert configured.generate(PROMPT, strategy="greedy", max_new_tokens=16).score is None
