"""Strategies that decide between several texts, in a host: with constraints, drafts, batches, streams and interruptions."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from host.test_shared_prefill import fed_ids
from pydantic import BaseModel, field_validator

from decodeplug import Host, Request, Result, choice, json_schema, regex
from decodeplug.errors import BadOption, PluginError
from decodeplug.jury import Decision
from decodeplug.strategies import BestOfN, SelfConsistency

PROMPT = "The red bear "
VOTE: dict[str, Any] = {"strategy": "self-consistency", "answer": "[aeiou]", "n": 7, "max_new_tokens": 24, "seed": 3}
WORDS = choice(["red", "the blue one", "a book about the moon and honey", "river"])
SENTENCE = regex(r"[abc][a-z ]{0,40}\.")
CHOOSE: dict[str, Any] = {
    "strategy": "self-consistency",
    "constraint": SENTENCE,
    "answer": "^(.)",
    "processors": ["temperature=0.7"],
    "max_new_tokens": 50,
}


class Patient(SelfConsistency):
    """Waits for every path."""

    def is_settled(self, paths: Any, running: int) -> bool:
        return False


def all_paths(result: Result) -> list[Result]:
    """By number."""
    return sorted([result, *result.alternatives], key=lambda path: path.hypothesis)


def voters(result: Result) -> list[Result]:
    return [path for path in all_paths(result) if path.answer is not None]


def test_the_majority_of_the_answers_wins_and_the_other_paths_are_the_alternatives(host: Host) -> None:
    result = host.generate(PROMPT, **VOTE, weights=lambda path: 1)
    paths = all_paths(result)
    sampled = host.generate(PROMPT, strategy="sample", num_return_sequences=7, seed=3, max_new_tokens=24)
    assert [path.token_ids for path in paths] == [path.token_ids for path in all_paths(sampled)]
    answers = [(re.findall("[aeiou]", path.text) or [None])[-1] for path in paths]
    assert [path.answer for path in paths] == answers
    votes = Counter(answer for answer in answers if answer)
    assert votes[result.answer] == max(votes.values())
    assert result.agreement == votes[result.answer] / sum(votes.values())
    best = max((path for path in paths if path.answer == result.answer), key=mean)
    assert best is result


def mean(path: Result) -> float:
    assert path.raw_logprobs is not None
    return sum(path.raw_logprobs) / len(path.raw_logprobs)


def test_a_vote_is_one_prefill(host: Host, model: Any) -> None:
    ids = list(range(3, 23))
    with fed_ids(model) as fed:
        result = host.generate(ids, **VOTE)
    assert fed[0] == len(ids)
    assert sum(fed) == len(ids) + sum(len(path.token_ids) - 1 for path in all_paths(result))


@pytest.mark.parametrize("seed", range(6))
def test_a_settled_vote_has_the_answer_of_all_and_cancels_the_rest(host: Host, seed: int) -> None:
    early = host.generate(PROMPT, **CHOOSE, n=9, seed=seed, drafters=[])
    late = host.generate(
        PROMPT, **{**CHOOSE, "strategy": Patient(n=9, answer="^(.)"), "answer": None}, seed=seed, drafters=[]
    )
    assert early.answer == late.answer
    assert all(path.finish_reason == "stop" for path in all_paths(late))
    assert early.trace.tokens <= late.trace.tokens
    cut = [path for path in early.alternatives if path.finish_reason == "cancelled"]
    if cut:
        saved = sum(50 - len(path.token_ids) for path in cut)
        note = f"{len(cut)} were cancelled, which had up to {saved} tokens left to write"
        assert note in early.trace.notes[-1]
        assert early.trace.forwards < late.trace.forwards
    assert early.finish_reason == "stop"


def test_votes_are_settled_early_now_and_then(host: Host) -> None:
    reasons = {
        path.finish_reason
        for seed in range(6)
        for path in host.generate(PROMPT, **CHOOSE, n=9, seed=seed, drafters=[]).alternatives
    }
    assert reasons == {"stop", "cancelled"}


@pytest.mark.parametrize("seed", range(6))
def test_neither_drafts_nor_a_cache_nor_a_batch_change_what_is_decided(host: Host, seed: int) -> None:
    def facts(result: Result) -> Any:
        return result.token_ids, result.answer, result.agreement, result.hypothesis

    plain = facts(host.generate(PROMPT, **CHOOSE, n=9, seed=seed, drafters=[], cache="none"))
    for drafters in (["forced"], ["lookup=min_ngram=1"], ["forced", "lookup"]):
        assert facts(host.generate(PROMPT, **CHOOSE, n=9, seed=seed, drafters=drafters)) == plain
    others = [Request("x", max_new_tokens=9), Request(PROMPT, **VOTE), Request("a", constraint=WORDS)]
    among = host.generate_batch([others[0], Request(PROMPT, **CHOOSE, n=9, seed=seed), *others[1:]])
    assert facts(among[1]) == plain
    assert facts(among[2]) == facts(host.generate(PROMPT, **VOTE))
    assert among[0].token_ids == host.generate("x", max_new_tokens=9).token_ids


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("it is odd")
        return number


def test_a_path_that_fails_its_final_check_has_no_say(host: Host) -> None:
    options: dict[str, Any] = {"strategy": "self-consistency", "answer": "/number", "max_new_tokens": 60}
    requests = [Request(PROMPT, constraint=Even, n=4, seed=seed, **options) for seed in range(12)]
    mixed = [
        (result, failed)
        for result in host.generate_batch(requests, return_errors=True)
        if result.error is None and (failed := [path for path in result.alternatives if path.error is not None])
    ]
    result, failed = mixed[0]
    assert result.answer % 2 == 0
    assert f"{len(failed)} of 4 paths failed the final check and have no say" in result.trace.notes


def test_the_constrained_value_is_the_answer_where_none_is_named(host: Host) -> None:
    schema = json_schema({"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]})
    result = host.generate(PROMPT, constraint=schema, strategy="self-consistency", n=3, seed=1, max_new_tokens=80)
    assert result.answer == result.value == json.loads(result.text)


def test_silent_paths_are_counted(host: Host) -> None:
    result = host.generate(PROMPT, **{**VOTE, "answer": "[qzx]", "weights": lambda path: 1})
    silent = sum(path.answer is None for path in all_paths(result))
    assert 0 < silent < 7
    assert f"{silent} of 7 paths gave no answer and have no vote" in result.trace.notes
    nobody = host.generate(PROMPT, **{**VOTE, "answer": "never written"})
    assert (nobody.answer, nobody.agreement) == (None, 0.0)
    assert nobody is max(all_paths(nobody), key=mean)


def test_the_best_of_n_is_the_likeliest_of_n_samples(host: Host) -> None:
    result = host.generate(PROMPT, strategy="best-of-n", n=6, seed=2, max_new_tokens=20)
    ranked = [result, *result.alternatives]
    assert len(ranked) == 6
    scores = [path.score for path in ranked if path.score is not None]
    assert scores == pytest.approx([mean(path) for path in ranked])
    assert scores == sorted(scores, reverse=True)
    assert result.score == pytest.approx(sum(host.score(PROMPT, result.token_ids)) / len(result.token_ids), abs=1e-5)


def test_the_likelihood_is_the_models_own_whatever_processors_do(host: Host) -> None:
    result = host.generate(PROMPT, strategy="best-of-n=3", processors=["temperature=0.3"], seed=2, max_new_tokens=9)
    assert result.score == pytest.approx(sum(host.score(PROMPT, result.token_ids)) / len(result.token_ids), abs=1e-5)
    assert result.logprobs != pytest.approx(result.raw_logprobs)


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({"strategy": "best-of-n", "scorer": lambda path: 1 / 0}, "scorer"),
        ({"strategy": "self-consistency", "answer": lambda path: 1 / 0}, "answer"),
        ({"strategy": "self-consistency", "answer": "a", "weights": lambda path: 1 / 0}, "weights"),
        ({"strategy": "self-consistency", "answer": lambda path: [object()]}, "answer"),
    ],
)
def test_a_function_that_fails_is_named_and_the_others_of_the_batch_go_on(
    host: Host, options: dict[str, Any], call: str
) -> None:
    good, bad = host.generate_batch(
        [Request(PROMPT, **VOTE), Request(PROMPT, **options, n=3, seed=1, max_new_tokens=8)], return_errors=True
    )
    error = bad.error
    assert isinstance(error, PluginError)
    assert (error.call, error.part) == (call, "<lambda>")
    assert good.token_ids == host.generate(PROMPT, **VOTE).token_ids


class Confused(BestOfN):
    """Forgets half of the paths."""

    def decide(self, paths: Any) -> Decision:
        return Decision([0])


def test_a_jury_that_loses_paths_is_named(host: Host) -> None:
    with pytest.raises(PluginError, match=r"best-of-n of plugin .* failed in decide: .*each of 8 paths"):
        host.generate(PROMPT, strategy=Confused(), max_new_tokens=4)


def test_a_stream_shows_nothing_before_the_decision_and_then_all(host: Host) -> None:
    whole = host.generate(PROMPT, **VOTE)
    (chunk,) = chunks = list(host.stream(PROMPT, **VOTE))
    assert chunk.text == chunk.so_far == whole.text
    assert list(chunk.token_ids) == whole.token_ids
    assert chunk.sources == ("model",) * len(whole.token_ids)
    assert chunks[-1].finish_reason == whole.finish_reason


def test_an_interrupted_vote_is_among_those_that_had_ended(host: Host) -> None:
    result = host.generate(PROMPT, **{**VOTE, "max_new_tokens": 400, "n": 3}, timeout_s=1e-9)
    assert result.finish_reason == "timeout"
    assert result.answer is None
    assert "0 of 3 paths had ended when the request was interrupted" in result.trace.notes
    with host.stream(PROMPT, **VOTE) as stream:
        stream.cancel()
        (chunk,) = stream
    assert chunk.finish_reason == "cancelled"


def test_paths_end_at_stop_strings_each_by_itself(host: Host) -> None:
    result = host.generate(PROMPT, **{**VOTE, "answer": ".*"}, stop=["e", "a"], weights="likelihood")
    assert all("e" not in path.text and "a" not in path.text for path in all_paths(result))
    assert {path.finish_reason for path in all_paths(result)} >= {"stop"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "self-consistency"}, "answer=None, but wanted answer=: a regular expression"),
        ({"n": 3}, 'a strategy that takes it, such as strategy="self-consistency"'),
        ({"strategy": "sample", "n": 3}, "only the options it has"),
        ({"strategy": "best-of-n", "answer": "x"}, "only the options it has: n=8, scorer='mean'"),
        ({"strategy": "best-of-n", "n": 0}, "n=0"),
        ({"strategy": BestOfN(), "n": 3}, "a name to go with the options"),
        ({"strategy": "best-of-n", "num_return_sequences": 3}, "n= for how many texts"),
        ({"strategy": "best-of-n", "do_sample": False}, "do_sample=False"),
        ({"strategy": "best-of-n", "processors": ["temperature=0"]}, "n=8, but wanted 1 unless the strategy samples"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_the_first_token(
    host: Host, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadOption, match=re.escape(says)):
        host.generate(PROMPT, max_new_tokens=4, **options)


def test_a_vote_works_inside_generate(host: Host, model: Any) -> None:
    import torch

    ids = torch.tensor([list(range(3, 13))], device=model.device)
    decode = host.custom_generate(**VOTE)
    rows = model.generate(ids, custom_generate=decode, max_new_tokens=24)
    expected = host.generate(ids[0].tolist(), **VOTE)
    assert rows[0, 10:].tolist() == expected.token_ids


def test_a_recipe_says_it_all(host: Host) -> None:
    from decodeplug import Recipe

    recipe = Recipe.from_toml('strategy = "self-consistency"\nanswer = "[aeiou]"\nn = 3\nseed = 1\nmax_new_tokens = 9')
    assert len(host.generate(PROMPT, **recipe.options).alternatives) == 2


def test_one_path_is_a_sample(host: Host) -> None:
    one = host.generate(PROMPT, strategy="best-of-n", n=1, seed=4, max_new_tokens=9)
    assert one.token_ids == host.generate(PROMPT, strategy="sample", seed=4, max_new_tokens=9).token_ids
    assert one.alternatives == []


def test_numbers_of_a_regex_are_voted_on(host: Host) -> None:
    result = host.generate("1 + 1 = ", constraint=regex("[0-9]"), strategy="self-consistency", seed=0, max_new_tokens=8)
    assert result.answer in "0123456789"
    assert result.answer == result.value
