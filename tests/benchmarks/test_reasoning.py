"""The reasoning benchmark asks sums that are right, and counts what it says it counts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from reasoning import THINKING, Tally, gained, number_in, run, ways, wilson
from reasoning_cases import SUMS, WORKED, sums

from decodeplug import Host
from decodeplug.testing import byte_tokenizer, tiny_model


def test_every_answer_is_what_its_steps_give() -> None:
    assert len(SUMS) >= 40
    assert len({case.question for case in SUMS}) == len(SUMS)
    for case in SUMS:
        assert eval(case.steps) == case.answer > 0
        numbers = re.findall(r"\d+", case.question)
        assert all(number in [*numbers, "0"] for number in re.findall(r"\d+", case.steps))


def test_every_worked_example_is_right_and_no_sum_of_the_table() -> None:
    for one in WORKED:
        assert one.thoughts.endswith(f"= {one.answer}.")
        for left, right in re.findall(r"([\d*/+ -]+) = (\d+)", one.thoughts):
            assert eval(left) == int(right)
    assert not {one.question for one in WORKED} & {case.question for case in SUMS}


def test_the_same_seed_makes_the_same_sums_and_another_one_others() -> None:
    assert sums(48, seed=2203) == list(SUMS)
    assert sums(48, seed=1) != list(SUMS)


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(0, 40, 0.0, 0.0876), (20, 40, 0.3520, 0.6480), (40, 40, 0.9124, 1.0), (9, 10, 0.5958, 0.9821)],
)
def test_the_interval_is_wilsons(right: int, asked: int, low: float, high: float) -> None:
    assert wilson(right, asked) == pytest.approx((low, high), abs=1e-4)


def test_what_is_gained_is_a_paired_difference() -> None:
    def tally(right: str) -> Tally:
        return Tally(said=[{"given": int(mark), "wanted": 1} for mark in right])

    assert gained(tally("0110"), tally("1110"))[0] == 0.25
    assert gained(tally("0101" * 12), tally("0101" * 12)) == (0.0, 0.0, 0.0)
    mean, low, high = gained(tally("00110101"), tally("11100101"))
    assert (mean, high - mean) == pytest.approx((0.125, 1.959964 * 0.640869 / 8**0.5), abs=1e-5)
    assert mean - low == pytest.approx(high - mean)


def test_the_last_number_counts_and_none_is_wrong() -> None:
    assert number_in("3 + 4 = 7. The answer is 7. The answer is 1,008.", THINKING.answer) == 1008
    assert number_in("3 + 4 = 7", THINKING.answer) is None


def test_every_way_is_run_and_counted() -> None:
    tokenizer: Any = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    host = Host(tiny_model(vocab=len(tokenizer), max_position_embeddings=2048), tokenizer, plugins=[])
    for way in ways(3):
        tally = run(host, way, SUMS[:2], 4)
        assert tally.asked == len(tally.said) == 2
        prompts = [len(tokenizer.apply_chat_template(way.ask(case.question))["input_ids"]) for case in SUMS[:2]]
        paths = way.options.get("n", 1)
        assert 2 <= tally.tokens <= 2 * paths * 4
        assert tally.forwarded == sum(prompts) + tally.tokens - 2 * paths
        assert tally.row(way.name)[1].endswith(" of 2")


def test_the_one_sample_is_a_text_of_the_vote() -> None:
    tokenizer: Any = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    host = Host(tiny_model(vocab=len(tokenizer), max_position_embeddings=2048), tokenizer, plugins=[])
    *_, single, vote = ways(3)
    prompt = single.ask(SUMS[0].question)
    one = host.generate(prompt, max_new_tokens=6, seed=4, **single.options)
    many = host.generate(prompt, max_new_tokens=6, seed=4, **vote.options)
    texts = {path.hypothesis: path.text for path in (many, *many.alternatives)}
    assert one.text == texts[0]
    assert len(set(texts.values())) == 3
