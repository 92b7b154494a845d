"""A mutable matcher stands behind states that do not change."""

from __future__ import annotations

import random
import threading

from decodeplug.constraints.states import State
from vocabularies import BYTES, PIECES

from decodeplug_xgrammar import json_schema, regex

LIST = json_schema({"type": "array", "items": {"type": "integer"}}, "spaced")


def test_states_of_equal_constraints_are_equal_and_can_be_exchanged() -> None:
    one, other = LIST.compile(BYTES), json_schema(LIST.schema, "spaced").compile(BYTES)
    state = one.start()
    for byte in b"[1, 2":
        following = one.advance(state, byte)
        assert following is not None
        state = following
    mine = other.start()
    for byte in b"[1, 2":
        following = other.advance(mine, byte)
        assert following is not None
        mine = following
    assert mine == state
    assert hash(mine) == hash(state)
    assert other.allowed(state).equal(one.allowed(state))
    assert other.advance(state, ord("]")) is not None


def test_lanes_far_apart_do_not_disturb_each_other() -> None:
    constraint = regex("([a-z]{30} )+").compile(BYTES)
    chance = random.Random(0)
    lanes = [(constraint.start(), b"") for _ in range(40)]
    for _ in range(400):
        index = chance.randrange(len(lanes))
        state, text = lanes[index]
        allowed = constraint.allowed(state)
        wanted = b" " if len(text) % 31 == 30 else bytes([chance.randrange(97, 123)])
        assert bool(allowed[wanted[0]])
        assert bool(allowed[ord(" ")]) == (len(text) % 31 == 30)
        following = constraint.advance(state, wanted[0])
        assert following is not None
        lanes[index] = (following, text + wanted)


def test_threads_ask_one_constraint_at_once_and_get_the_answers_of_one() -> None:
    constraint = LIST.compile(PIECES)
    ids = PIECES.encode("[1, 23, 456, 7890, 12, 3]")
    states = [constraint.start()]
    for token in ids:
        following = constraint.advance(states[-1], token)
        assert following is not None
        states.append(following)
    wanted = [constraint.allowed(state).clone() for state in states]
    wrong: list[int] = []

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(200):
            index = chance.randrange(len(states))
            masked = states[index][0]  # beside it, where the number stands
            assert isinstance(masked, State)
            masked.mask = None
            if not constraint.allowed(states[index]).equal(wanted[index]):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forced_text_is_spelled_as_the_tokenizer_does() -> None:
    constraint = json_schema(
        {"type": "object", "properties": {"name": {"type": "null"}}, "required": ["name"]}, "spaced"
    ).compile(PIECES)
    forced = constraint.forced(constraint.start())
    assert b"".join(map(PIECES.token_bytes, forced)).startswith(b'{"name": null')
    assert list(forced) == PIECES.encode(b"".join(map(PIECES.token_bytes, forced)).decode())


def test_nothing_is_forced_in_the_middle_of_a_character() -> None:
    constraint = regex("[éè]").compile(BYTES)
    assert constraint.forced(constraint.start()) == ()
    inside = constraint.advance(constraint.start(), "é".encode()[0])
    assert inside is not None
    assert constraint.forced(inside) == ()
