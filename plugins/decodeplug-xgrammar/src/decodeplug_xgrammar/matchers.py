"""A few of XGrammar's matchers that are moved to where a question is asked.

A matcher changes with every token, and can take tokens back. Along a text, a draft or its rejection a move is one
or a few cheap steps; lanes that are far apart get a fork of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from decodeplug.constraints.states import State, distance, tokens_to
from xgrammar import GrammarMatcher

__all__ = ["Cursor", "Cursors"]

_CURSORS = 16  # lanes far apart that can be served without walking back and forth
_NEAR = 8  # tokens to feed beyond which a fork is worth its memory


class Cursor:
    """A matcher, and the state it is at."""

    __slots__ = ("matcher", "state")

    def __init__(self, matcher: GrammarMatcher, state: State) -> None:
        self.matcher, self.state = matcher, state


class Cursors:
    """The cursors of one constraint; ``latest`` is the one used last.

    :param fresh: Makes a matcher before the first token. :param start: The state before the first token.
    """

    def __init__(self, fresh: Callable[[], GrammarMatcher], start: State) -> None:
        self._fresh, self._start = fresh, start
        self._others: list[Cursor] = []  # the longest unused first
        self.latest = Cursor(fresh(), start)

    def __len__(self) -> int:
        return 1 + len(self._others)

    def at(self, state: State) -> Cursor:
        """A cursor at ``state``, which is the latest from now on."""
        if self.latest.state is state:
            return self.latest
        nearest, back, ahead = self._nearest(state)
        if nearest is None:  # a state of another copy of the constraint
            cursor, back, ahead = Cursor(self._fresh(), self._start), 0, tokens_to(state, state.depth)
        elif len(ahead) > _NEAR:
            cursor = Cursor(nearest.matcher.fork(), nearest.state)
        else:
            cursor = nearest
        self._use(cursor)
        if back:
            cursor.matcher.rollback(back)
        for token in ahead:
            taken = cursor.matcher.accept_token(token)
            assert taken, "a state is only ever made of tokens that were accepted"
        cursor.state = state
        return cursor

    def _use(self, cursor: Cursor) -> None:
        if cursor is self.latest:
            return
        if cursor in self._others:
            self._others.remove(cursor)
        self._others.append(self.latest)
        del self._others[: max(0, len(self._others) - (_CURSORS - 1))]
        self.latest = cursor

    def _nearest(self, state: State) -> tuple[Cursor | None, int, list[int]]:
        """The cursor with the fewest tokens to take back and feed; how many to take back; which to feed."""
        nearest, back, ahead = None, 0, 0
        for cursor in (self.latest, *reversed(self._others)):
            steps = distance(cursor.state, state, None if nearest is None else back + ahead)
            if steps is not None and (nearest is None or sum(steps) < back + ahead):
                nearest, (back, ahead) = cursor, steps
                if back + ahead <= 1:
                    break
        return nearest, back, tokens_to(state, ahead)
