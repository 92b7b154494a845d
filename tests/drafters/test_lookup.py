"""``lookup`` finds what somebody would find who tried every place, whatever it was asked before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decodeplug import Host
from decodeplug.drafters import Chain, Lookup
from decodeplug.drafters.occurrences import CANDIDATES
from decodeplug.errors import BadOption
from decodeplug.testing import bpe_tokenizer, check_drafter, check_drafter_changes_nothing, tiny_model
from decodeplug.values import LaneView, Opening

ROOM = 64
IDS = st.integers(1, 4).flatmap(lambda of: st.lists(st.integers(0, of), max_size=40))
OPTIONS = st.builds(
    lambda least, further, tokens: Lookup(least + further, least, tokens),
    st.integers(1, 4),
    st.integers(0, 6),
    st.integers(1, 9),
)


def found(lookup: Lookup, own: Sequence[int], references: Iterable[Sequence[int]] = ()) -> tuple[int, ...]:
    """What shall be drafted: every place of every text is tried. The longest match wins, of equals the last one."""
    longest, drafted = 0, ()
    for text in [*references, own]:
        for place in range(1, len(text)):
            most = min(place, len(own), lookup.max_ngram)
            equal = [text[place - 1 - back] == own[len(own) - 1 - back] for back in range(most)]
            length = (*equal, False).index(False)
            if length >= max(longest, lookup.min_ngram):
                longest, drafted = length, tuple(text[place : place + lookup.max_tokens])
    return drafted


def drafted(drafter: Any, ids: Sequence[int], *, prompt: int = 0, hypothesis: int = 0) -> tuple[int, ...]:
    return drafter.draft(LaneView(ids, prompt, seed=(3, hypothesis)), ROOM).tokens


@given(lookup=OPTIONS, own=IDS, references=st.lists(IDS, max_size=3))
def test_the_longest_match_is_found_own_text_first_then_the_latest(
    lookup: Lookup, own: list[int], references: list[list[int]]
) -> None:
    opened = lookup.open(Opening(references=tuple(map(tuple, references))))
    assert drafted(opened, own) == found(lookup, own, references)
    assert drafted(lookup, own) == found(lookup, own)


@given(
    lookup=OPTIONS,
    prompt=IDS,
    reference=IDS,
    turns=st.lists(st.tuples(st.integers(0, 30), IDS, st.integers(0, 2)), min_size=2, max_size=8),
)
def test_what_was_asked_before_decides_nothing(
    lookup: Lookup, prompt: list[int], reference: list[int], turns: list[tuple[int, list[int], int]]
) -> None:
    opened = lookup.open(Opening(tuple(prompt), (tuple(reference),)))
    ids = prompt
    for kept, further, hypothesis in turns:  # lanes that grow, are cut back and take over from one another
        ids = [*prompt, *ids[len(prompt) :][:kept], *further]
        assert drafted(opened, ids, prompt=len(prompt), hypothesis=hypothesis) == found(lookup, ids, [reference])


@given(lookup=OPTIONS, texts=st.lists(IDS, min_size=2, max_size=6))
def test_an_opened_one_can_be_asked_for_texts_that_do_not_begin_with_the_prompt(
    lookup: Lookup, texts: list[list[int]]
) -> None:
    opened = lookup.open(Opening((1, 2, 3)))
    assert [drafted(opened, ids) for ids in texts] == [found(lookup, ids) for ids in texts]


def test_neither_a_match_nor_a_continuation_crosses_the_border_of_two_texts() -> None:
    opened = Lookup().open(Opening(references=((1, 2), (3, 4, 5), (4, 5))))
    assert drafted(opened, [8, 2, 3]) == ()
    assert drafted(opened, [8, 3, 4]) == (5,)
    assert drafted(opened, [8, 4, 5]) == (), "nothing follows it in any text"
    opened = Lookup().open(Opening(references=((2, 1), (3, 4, 6), (3, 4, 7))))
    assert drafted(opened, [1, 3, 4]) == (7,), "what stands at the end of the text before makes no match longer"


def test_the_own_text_wins_where_it_matches_as_long_and_the_reference_where_longer() -> None:
    opened = Lookup().open(Opening(references=((7, 1, 2, 5),)))
    assert drafted(opened, [1, 2, 6, 8, 1, 2])[:1] == (6,)
    assert drafted(opened, [1, 2, 6, 7, 1, 2])[:1] == (5,)


@pytest.mark.parametrize(("newer", "first"), [(CANDIDATES - 1, 5), (CANDIDATES, 0)])
def test_only_so_many_of_the_latest_occurrences_are_compared(newer: int, first: int) -> None:
    ids = [9, 1, 2, 5]
    for other in range(newer):
        ids += [10 + other, 1, 2, 0]
    assert drafted(Lookup(), [*ids, 9, 1, 2])[0] == first


class Counted(int):
    """An id that counts how often it is hashed or compared with another one."""

    looks = 0

    def __hash__(self) -> int:
        Counted.looks += 1
        return int.__hash__(self)

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return int.__eq__(self, other)


class Read(tuple[int, ...]):
    """Ids that count how many of them are read."""

    looks = 0

    def __getitem__(self, at: Any) -> Any:
        got = tuple.__getitem__(self, at)
        Read.looks += 1 if isinstance(at, SupportsIndex) else len(got)
        return got

    def __iter__(self) -> Iterator[int]:
        Read.looks += len(self)
        return tuple.__iter__(self)


def looks(prompt: int, written: int) -> tuple[int, int]:
    """At how many ids a step looks, by value and at all, once so many were written in each of two hypotheses."""
    shared = [Counted(place * place % 7 * (place % 3) % 5) for place in range(prompt)]
    texts = [[*shared, *(Counted(place % (3 + lane)) for place in range(written + 40))] for lane in range(2)]
    opened = Lookup().open(Opening(tuple(shared)))
    values, read = [], []
    for end in range(prompt + written, prompt + written + 40):
        for lane, ids in enumerate(texts):
            Counted.looks = Read.looks = 0
            assert drafted(opened, Read(ids[:end]), prompt=prompt, hypothesis=lane)
            values.append(Counted.looks)
            read.append(Read.looks)
    return max(values[2:]), max(read[2:])  # the first steps read what was there before


def test_what_a_step_looks_at_does_not_grow_with_the_text() -> None:
    short, long = looks(200, 20), looks(3200, 20)
    assert long == short, "neither by value nor at all"
    assert max(short) < 200
    assert looks(200, 3020)[0] == short[0], "with the output grows what is compared in bulk, by identity"


def test_the_contract_is_kept() -> None:
    check_drafter(Lookup())
    check_drafter(Lookup(min_ngram=1))
    check_drafter(Lookup(min_ngram=1).open(Opening(references=((1, 2, 0, 1),))))


def forwards(drafter: Any, text: Sequence[int], prompt: int) -> int:
    """How many forwards a text takes if all of them cost the same: each keeps what was drafted right, and one id more."""
    at = prompt
    for count in range(len(text)):
        if at >= len(text):
            return count
        guess = Chain([drafter]).draft(LaneView(text[:at], prompt), len(text) - at - 1).tokens
        right = [one == other for one, other in zip(guess, text[at:], strict=False)]
        at += (*right, False).index(False) + 1
    return len(text) - prompt


def test_a_reference_saves_forwards_and_one_of_something_else_does_not_cost_any() -> None:
    tokenizer = bpe_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[]) as host:
        prompt = host.tokenizer("The bear ")["input_ids"]
        text = (*prompt, *host.generate(prompt, max_new_tokens=80).token_ids)
    new, other = text[len(prompt) :], tuple(text[::-1])
    counts = [
        forwards(Lookup().open(Opening(tuple(prompt), references)), text, len(prompt))
        for references in [(), (other,), (new,), (other, new)]
    ]
    assert counts[3] <= counts[2] < 0.5 * counts[0]
    assert counts[1] <= counts[0] <= len(new)


def test_options_that_cannot_be_are_named() -> None:
    with pytest.raises(BadOption, match="1 <= min_ngram <= max_ngram"):
        Lookup(max_ngram=1)
    with pytest.raises(BadOption, match="at least 1"):
        Lookup(max_tokens=0)


def test_a_reference_changes_no_text() -> None:
    tokenizer = bpe_tokenizer()
    with Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[]) as host:
        free = host.generate("The bear ", max_new_tokens=40)
        check_drafter_changes_nothing(
            host, Lookup(min_ngram=1), ["The bear ", "{"], reference=[free.text, free.token_ids[3:]], seeds=[0, 1]
        )
