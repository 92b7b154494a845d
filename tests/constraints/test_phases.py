"""Free text up to the first marker, and behind it exactly what the second constraint allows, wherever tokens split."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decodeplug import Host
from decodeplug.constraints import accepts, choice, json_schema, phases, regex
from decodeplug.constraints.phased import Bound, Free
from decodeplug.contracts import Constraint
from decodeplug.errors import BadOption, InvalidResult, Unsatisfiable
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint, tiny_model
from decodeplug.values import Draft, LaneView
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 300, {258})
BPE = Vocabulary(bpe_tokenizer(), 600, {514})
TEXTS = ["".join(letters) for length in range(8) for letters in itertools.product("ab", repeat=length)]
MARKERS = ["a", "ab", "aa", "aab", "abab", "aba", "aabaa", "bbb"]


def ids_of(vocabulary: Vocabulary, *texts: bytes) -> list[int]:
    spelt = {vocabulary.token_bytes(token): token for token in range(vocabulary.size)}
    return [spelt[text] for text in texts]


def after(constraint: Constraint, ids: list[int]) -> Any:
    state: Any = constraint.start()
    for token in ids:
        assert bool(constraint.allowed(state)[token]) == (constraint.advance(state, token) is not None)
        state = constraint.advance(state, token)
        if state is None:
            return None
    return state


@pytest.mark.parametrize("marker", MARKERS)
def test_the_first_marker_ends_the_free_text_also_where_its_beginnings_overlap(marker: str) -> None:
    constraint = phases(regex("b*"), marker=marker).compile(BYTES)
    for text in TEXTS:
        _, found, rest = text.partition(marker)
        assert accepts(constraint, BYTES, text) == (bool(found) and set(rest) <= {"b"}), text


@settings(deadline=None, max_examples=60)
@given(marker=st.text("ab", min_size=1, max_size=6), text=st.text("ab", max_size=20), data=st.data())
def test_it_does_not_matter_how_a_text_is_split_into_tokens(marker: str, text: str, data: st.DataObject) -> None:
    constraint = phases(regex("(?:ab?)*"), marker=marker).compile(LETTERS)
    _, found, rest = text.partition(marker)
    expected = bool(found) and accepts(regex("(?:ab?)*").compile(BYTES), BYTES, rest)
    ids: list[int] = []
    at = 0
    while at < len(text):
        length = data.draw(st.integers(1, min(4, len(text) - at)))
        ids.append(LETTER_IDS[text[at : at + length]])
        at += length
    state = after(constraint, ids)
    assert (state is not None and constraint.is_accepting(state)) == expected


def _letters() -> tuple[Vocabulary, dict[str, int]]:
    """A vocabulary in which every text of one to four letters a and b is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["".join(letters) for length in range(1, 5) for letters in itertools.product("ab", repeat=length)]
    ids = {word: index for index, word in enumerate(words)}
    merges = [(word[:-1], word[-1]) for word in words if len(word) > 1]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", clean_up_tokenization_spaces=False)
    return Vocabulary(fast, len(fast), {len(words)}), ids


LETTERS, LETTER_IDS = _letters()


@pytest.mark.parametrize("budget", [None, 0, 1, 3])
@pytest.mark.parametrize("marker", ["ab", "aab", "abaab"])
@pytest.mark.parametrize("inner", ["b{0,3}", "ab*", "(?:ab){1,2}"])
def test_the_constraint_laws_hold_where_tokens_cross_the_border(marker: str, inner: str, budget: int | None) -> None:
    check_constraint(phases(regex(inner), marker=marker, budget=budget), LETTERS, canonical=True, states=60)


SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["age"],
    "additionalProperties": False,
}
THOUGHT = phases(json_schema(SCHEMA), marker="so: ")


@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
def test_the_constraint_laws_hold(vocabulary: Vocabulary) -> None:
    check_constraint(
        THOUGHT,
        vocabulary,
        texts_accepted=['so: {"age": 4}', 'The bear reads, soso: {"age": 12}', 'é so; so : so: {"age": 0}'],
        texts_rejected=["", "so: ", '{"age": 4}', 'so: x so: {"age": 4}', 'so: {"age": 4} ', 'so:  {"age": 4}'],
        canonical=True,
        states=40,
    )
    check_constraint(
        phases(choice(["yes", "no"]), marker="</think>", budget=4),
        vocabulary,
        texts_accepted=["</think>yes", "a b</think>no"],
        texts_rejected=["", "yes", "</think>", "abc</think>maybe", "the bear reads a book about the</think>yes"],
        canonical=True,
        states=60,
    )


def test_a_token_that_crosses_the_border_is_allowed_exactly_if_its_rest_is() -> None:
    constraint = phases(regex("b(?:ab)*"), marker="ab").compile(LETTERS)
    start = constraint.start()
    allowed = {word for word, token in LETTER_IDS.items() if constraint.allowed(start)[token]}
    expected = {
        word
        for word in LETTER_IDS
        if "ab" not in word or any(text.startswith(word.partition("ab")[2]) for text in ("bab", "babab"))
    }
    assert allowed == expected
    assert {"abba", "abb", "aabb", "bbbb"} <= allowed
    assert not {"abab", "aba", "abbb"} & allowed


@pytest.mark.parametrize("budget", range(5))
def test_the_marker_is_forced_when_the_budget_is_spent(budget: int) -> None:
    constraint = phases(choice(["yes", "no"]), marker="</think>", budget=budget).compile(BPE)
    for seed in range(20):
        chance, state, ids = random.Random(seed), constraint.start(), []
        while not constraint.is_complete(state):
            ids.append(chance.choice(constraint.allowed(state).nonzero()[:, 0].tolist()))
            state: Any = constraint.advance(state, ids[-1])
        thinking, _, answer = b"".join(map(BPE.token_bytes, ids)).partition(b"</think>")
        assert answer in (b"yes", b"no")
        spent = b"".join(map(BPE.token_bytes, ids[:budget]))
        assert spent.startswith(thinking) or b"</think>" in spent


def test_what_is_forced_after_the_budget_is_the_rest_of_the_marker() -> None:
    constraint = phases(choice(["yes"]), marker="</think>", budget=2).compile(BPE)
    state = after(constraint, BPE.encode("a<"))
    assert state == Free(matched=1, spent=2)
    assert BPE.decode(constraint.forced(state)) == "/think>"
    state = after(constraint, [*BPE.encode("a<"), *constraint.forced(state)])
    assert isinstance(state, Bound)
    assert BPE.decode(constraint.forced(state)) == "yes"


def test_states_are_values_that_do_not_count_where_there_is_no_budget() -> None:
    constraint = phases(regex("b*"), marker="ab").compile(BYTES)
    assert after(constraint, list(b"xxxa")) == after(constraint, list(b"a")) == Free(matched=1)
    counted = phases(regex("b*"), marker="ab", budget=9).compile(BYTES)
    assert after(counted, list(b"xxxa")) != after(counted, list(b"a"))


def test_thinking_and_answer_can_be_had() -> None:
    text = 'She is four. so: {"age": 4}'
    assert THOUGHT.value(text) == {"age": 4}
    assert THOUGHT.split(text) == ("She is four. ", '{"age": 4}')
    with pytest.raises(InvalidResult, match="it has no 'so: '"):
        THOUGHT.value('{"age": 4}')


@pytest.mark.parametrize(
    "options",
    [{"marker": ""}, {"marker": 3}, {"marker": "\ud800"}, {"budget": -1}, {"budget": 1.5}, {"budget": True}],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=f"phases: {next(iter(options))}="):
        phases(regex("a"), **options)
    with pytest.raises(BadOption, match="constraint: constraint=3"):
        phases(3)


def test_a_marker_that_the_vocabulary_cannot_spell_is_refused() -> None:
    with pytest.raises(Unsatisfiable, match="no ids of this vocabulary spell the marker 'abc'"):
        phases(regex("a"), marker="abc").compile(LETTERS)


def test_keys_tell_phases_apart() -> None:
    specs = [phases(regex("a")), phases(regex("b")), phases(choice(["a"])), phases(regex("a"), marker="x")]
    assert len({spec.key() for spec in [*specs, phases(regex("a"), budget=3)]}) == 5
    assert phases(regex("a")).key() == specs[0].key()


def test_phases_can_follow_phases() -> None:
    spec = phases(phases(regex("[0-9]"), marker="B"), marker="A")
    constraint = spec.compile(BYTES)
    assert [accepts(constraint, BYTES, text) for text in ("xAyB1", "AB1", "BA1", "xByA1", "A1")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert spec.value("xAyB1") == "1"


@cache
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


@pytest.mark.parametrize("drafters", [[], ["forced"], ["forced", "lookup=min_ngram=1"]])
def test_a_host_thinks_within_the_budget_and_answers(drafters: list[str]) -> None:
    spec = phases(json_schema(SCHEMA, "spaced"), budget=12)
    for seed in range(6):
        result = host().generate(
            "The bear is four. ", constraint=spec, processors=["temperature=1.2"], seed=seed, drafters=drafters
        )
        assert 0 <= result.value["age"] <= 99
        assert spec.split(result.text)[1] == f'{{"age": {result.value["age"]}}}'
    recipe = {"name": "phases", "then": {"name": "regex", "pattern": "[0-9]"}, "marker": "so ", "budget": 3}
    assert len(host().generate("Well? ", constraint=recipe).value) == 1


@dataclass(frozen=True)
class Replayed:
    """Proposes the tokens of a known text, and wrong ones behind every ``wrong_after`` of them."""

    ids: tuple[int, ...]
    wrong_after: int
    name: ClassVar[str] = "replayed"
    prior: ClassVar[float] = 0.9

    def draft(self, lane: LaneView, room: int) -> Draft:
        done = len(lane.ids) - lane.prompt_length
        tokens = (*self.ids[done : done + self.wrong_after], *BPE.encode("so 1{"))[: min(room, 8)]
        return Draft(tokens, (self.name,) * len(tokens))


@pytest.mark.parametrize("wrong_after", [0, 1, 3, 9])
def test_a_draft_that_crosses_the_border_changes_nothing(wrong_after: int) -> None:
    for seed in range(4):
        options: dict[str, Any] = {
            "constraint": phases(json_schema(SCHEMA), marker=" so ", budget=4),
            "processors": ["temperature=1.2"],
            "max_new_tokens": 40,
            "seed": seed,
        }
        plain = host().generate("The bear is four. ", drafters=[], **options)
        drafters = [Replayed(tuple(plain.token_ids), wrong_after)]
        drafted = host().generate("The bear is four. ", drafters=drafters, **options)
        assert drafted.token_ids == plain.token_ids
        assert drafted.value == plain.value
        assert wrong_after < 9 or drafted.trace.forwards < plain.trace.forwards / 2
