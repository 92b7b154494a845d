"""Compiled constraints are cached by content, shared by requests, and each request has its own."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from decodeplug.constraints import choice, json_schema, regex
from decodeplug.constraints.compiled import Once, compile_grammar
from decodeplug.errors import BadOption
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BPE = Vocabulary(bpe_tokenizer(), 515, {514})
MANY = {
    "type": "object",
    "properties": {f"key_{number}": {"type": "string" if number % 2 else "integer"} for number in range(200)},
    "required": [f"key_{number}" for number in range(200)],
    "additionalProperties": False,
}


def best_of(count: int, work: Any) -> float:
    """The least of several times, in seconds: the machine has other things to do."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def first_mask(vocabulary: Vocabulary) -> torch.Tensor:
    constraint = json_schema(MANY).compile(vocabulary)
    return constraint.allowed(constraint.start())


def test_a_schema_of_200_properties_gives_its_first_mask_soon_and_at_once_when_cached() -> None:
    vocabulary = Vocabulary(bpe_tokenizer(), 515, {512})
    vocabulary.engine()
    began = time.perf_counter()
    first_mask(vocabulary)
    assert time.perf_counter() - began < 0.5
    assert best_of(20, lambda: first_mask(vocabulary)) < 1e-3


def test_equal_specs_and_vocabularies_are_compiled_once() -> None:
    written: list[int] = []

    def grammar() -> str:
        written.append(1)
        return '%llguidance {}\nstart: "a"'

    def compile_it() -> Any:
        own = Vocabulary(byte_tokenizer(), 259, {258})
        return compile_grammar("test", "compiled once", own, grammar, ValueError)

    first, second = compile_it(), compile_it()
    assert written == [1]
    assert first is not second
    assert first.start() == second.start()


def test_specs_with_other_options_are_compiled_apart() -> None:
    states = {
        json_schema({"type": "object"}, layout, formats=formats).compile(BPE).start()
        for layout in ("spaced", "compact", "any")
        for formats in ("assert", "annotate")
    }
    assert len(states) == 6


def test_the_order_of_keys_is_part_of_a_schema() -> None:
    one, other = {"x": {"type": "null"}, "y": {"type": "null"}}, {"y": {"type": "null"}, "x": {"type": "null"}}
    assert json_schema({"properties": one}).key() != json_schema({"properties": other}).key()


def test_requests_do_not_disturb_each_other() -> None:
    spec = regex("[ab]+c?")
    first, second = spec.compile(BPE), spec.compile(BPE)
    state = first.advance(first.start(), ord("a"))
    assert second.advance(second.start(), ord("c")) is None
    assert first.advance(state, ord("c")) is not None


def test_many_threads_compile_and_walk_at_once() -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(20):
                constraint = json_schema({"enum": [f"text {round_ % 7}", number % 2]}).compile(BPE)
                state: Any = constraint.start()
                while not constraint.is_complete(state):
                    state = constraint.advance(state, int(torch.nonzero(constraint.allowed(state))[-1]))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_memo_makes_each_value_once_also_when_threads_ask_together() -> None:
    memo: Once[int] = Once(4)
    made: list[str] = []
    barrier = threading.Barrier(6)

    def make() -> int:
        made.append("x")
        time.sleep(0.01)
        return 7

    def ask() -> None:
        barrier.wait()
        assert memo.get("x", make) == 7

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["x"]


def test_a_memo_forgets_the_longest_unused() -> None:
    memo: Once[str] = Once(2)
    for key in ("a", "b", "a", "c"):
        memo.get(key, lambda: "first")
    assert len(memo) == 2
    assert memo.get("a", lambda: "again") == "first"
    assert memo.get("b", lambda: "again") == "again"


def test_a_memo_does_not_keep_failures() -> None:
    memo: Once[int] = Once(2)
    with pytest.raises(ZeroDivisionError):
        memo.get("a", lambda: 1 // 0)
    assert memo.get("a", lambda: 3) == 3


def test_a_vocabulary_that_the_engine_does_not_know_is_refused() -> None:
    class Foreign:
        size, end_ids = 1, frozenset[int]()

        def token_bytes(self, token: int) -> bytes:
            return b"a"

        def encode(self, text: str) -> list[int]:
            return [0]

    with pytest.raises(BadOption, match=r"vocabulary='Foreign', but wanted a decodeplug\.vocabulary\.Vocabulary"):
        choice(["a"]).compile(Foreign())
