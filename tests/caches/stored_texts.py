"""Texts that the tests of stored inputs are made with."""

from __future__ import annotations

import torch

from decodeplug.target import Target
from decodeplug.target.lanes import LaneSession


def held(target: Target, cache: str, count: int) -> tuple[LaneSession, int]:
    """A session that holds so many ids, and its bytes."""
    session = target.session(cache)
    assert isinstance(session, LaneSession)
    session.keep([-1], [0])
    session.forward([list(range(count))], [1])
    return session, session.bytes()


def goes_on_right(target: Target, session: LaneSession, count: int) -> None:
    """A session that holds so many ids, as ``held`` feeds them, says of the next one what one with the cache "dense" says."""
    session.keep([0], [count])
    expected = held(target, "dense", count)[0].forward([[8]], [1])
    torch.testing.assert_close(session.forward([[8]], [1]), expected, rtol=0, atol=1e-9)
