"""The state of a constraint after some tokens: a value, and how to get from one to another."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

from torch import Tensor

__all__ = ["State", "adopt", "child_of", "distance", "tokens_to"]


class State:
    """The state after one more token: a value. Equal if the same tokens led there.

    :ivar parent: The state before ``token``; None for the start. :ivar depth: Tokens so far.
    :ivar accepting: The text may end here. :ivar stopped: The engine knows that nothing may follow.
    """

    __slots__ = (
        "__weakref__",
        "_hash",
        "accepting",
        "children",
        "complete",
        "depth",
        "forced",
        "mask",
        "origin",
        "parent",
        "stopped",
        "token",
    )

    def __init__(self, parent: State | None, token: int, origin: Hashable, accepting: bool, stopped: bool) -> None:
        self.parent, self.token, self.origin = parent, token, origin
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.accepting, self.stopped = accepting, stopped
        # What was found out about the state, kept so that asking again costs nothing.
        self.children: dict[int, weakref.ref[State]] | None = None
        self.complete: bool | None = None
        self.forced: tuple[int, ...] | None = None
        self.mask: Tensor | None = None
        self._hash = hash(origin) if parent is None else hash((parent._hash, token))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, State):
            return NotImplemented
        if self._hash != other._hash or self.depth != other.depth or self.origin != other.origin:
            return False
        mine, theirs = self, other
        while mine is not theirs:
            if mine.token != theirs.token:
                return False
            if mine.parent is None or theirs.parent is None:
                return mine.parent is theirs.parent
            mine, theirs = mine.parent, theirs.parent
        return True

    def __repr__(self) -> str:
        return f"State(depth={self.depth}, token={self.token}, accepting={self.accepting})"


def child_of(state: State, token: int) -> State | None:
    children = state.children
    known = None if children is None else children.get(token)
    return None if known is None else known()


def adopt(parent: State, child: State) -> None:
    """Remember a child without keeping it alive: rejected branches are not history."""
    children = parent.children
    if children is None:
        children = parent.children = {}
    elif len(children) >= 64:
        for token in [token for token, known in children.items() if known() is None]:
            del children[token]
    children[child.token] = weakref.ref(child)


def tokens_to(state: State, count: int) -> list[int]:
    """The last ``count`` tokens that led to ``state``."""
    tokens: list[int] = []
    node: Any = state
    for _ in range(count):
        tokens.append(node.token)
        node = node.parent
    tokens.reverse()
    return tokens


def distance(start: State, goal: State, limit: int | None) -> tuple[int, int] | None:
    """Tokens to take back and to feed on the way; None if there is no way, or none below ``limit``."""
    back = ahead = 0
    here: State | None = start
    there: State | None = goal
    while here is not there:
        if here is None or there is None or (limit is not None and back + ahead >= limit):
            return None
        if here.depth >= there.depth:
            here, back = here.parent, back + 1
        else:
            there, ahead = there.parent, ahead + 1
    return back, ahead
