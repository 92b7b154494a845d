"""A few engine matchers that are moved to where a question is asked.

Along a text, a draft or its rejection a move is one or a few cheap steps (about 1 us each); lanes
that are far apart get a matcher of their own.
"""

from __future__ import annotations

from decodeplug.constraints.matcher import Matcher, Source
from decodeplug.constraints.states import State, distance, tokens_to

__all__ = ["Cursor", "Cursors", "EngineGaveUpError"]

_CURSORS = 16  # lanes far apart that can be served without walking back and forth
_NEAR = 8  # tokens to feed beyond which a copy of a matcher (some us) is worth its memory


class EngineGaveUpError(Exception):
    """A limit of the engine's lexer or parser was hit; the matcher is of no more use."""


class Cursor:
    """An engine matcher, and the state it is at."""

    __slots__ = ("matcher", "state")

    def __init__(self, matcher: Matcher, state: State) -> None:
        self.matcher, self.state = matcher, state

    def reason(self) -> str:
        """The first line of what the engine says is wrong; dumps follow it."""
        return self.matcher.get_error().strip().partition("\n")[0] or "it did not say why"


class Cursors:
    """The cursors of one constraint; ``latest`` is the one used last.

    :param start: The state before the first token, which ``matcher`` is at.
    """

    def __init__(self, source: Source, start: State, matcher: Matcher, build: int) -> None:
        self._source, self._start, self._build = source, start, build
        self._others: list[Cursor] = []  # the longest unused first
        self.latest = Cursor(matcher, start)

    def __len__(self) -> int:
        return 1 + len(self._others)

    @property
    def are_stale(self) -> bool:
        """True if somebody found the shared lexer worn out: it refuses what it has no room to learn."""
        return self._source.build != self._build

    def at(self, state: State) -> Cursor:
        """A cursor at ``state``, which is the latest from now on.

        :raises EngineGaveUpError: It broke on the way there.
        """
        if self.latest.state is state:
            return self.latest
        nearest, back, ahead = self._nearest(state)
        if nearest is None:  # a state of another copy of the constraint
            matcher, self._build = self._source.copy()
            cursor, back, ahead = Cursor(matcher, self._start), 0, tokens_to(state, state.depth)
        elif len(ahead) > _NEAR:
            cursor = Cursor(nearest.matcher.deep_copy(), nearest.state)
        else:
            cursor = nearest
        self._use(cursor)
        matcher = cursor.matcher
        if (back and not matcher.rollback(back)) or (ahead and matcher.try_consume_tokens(ahead) != len(ahead)):
            raise EngineGaveUpError(cursor.reason())
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

    def drop(self, cursor: Cursor) -> None:
        """Give up a cursor that is the latest."""
        assert cursor is self.latest
        if self._others:
            self.latest = self._others.pop()
        else:
            matcher, self._build = self._source.copy()
            self.latest = Cursor(matcher, self._start)

    def renew(self) -> None:
        """Begin again with a matcher whose lexer nobody has used."""
        self._source.spoil(self._build)
        matcher, self._build = self._source.copy()
        self._others.clear()
        self.latest = Cursor(matcher, self._start)

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
