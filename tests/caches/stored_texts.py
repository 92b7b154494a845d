"""Texts that the tests of stored inputs are made with."""

from __future__ import annotations

from decodeplug.target import Target
from decodeplug.target.lanes import LaneSession


def held(target: Target, cache: str, count: int) -> tuple[LaneSession, int]:
    """A session that holds so many ids, and its bytes."""
    session = target.session(cache)
    assert isinstance(session, LaneSession)
    session.keep([-1], [0])
    session.forward([list(range(count))], [1])
    return session, session.bytes()
