"""The one loop: draft -> forward -> score -> select -> clip -> keep -> commit."""

from __future__ import annotations

import time
from collections.abc import Generator

from decodeplug.batch import Batch
from decodeplug.choose import choose
from decodeplug.contracts import Session
from decodeplug.errors import CacheFull
from decodeplug.turn import Turn

__all__ = ["decode"]


def decode(session: Session, batch: Batch) -> Generator[Turn, None, None]:
    """Decode the jobs of a batch; yields once per turn, after its tokens are committed.

    Jobs may join in every turn: their lanes begin empty, beside those that go on.

    Every way to decode is this loop with other parts. Prefill is nothing special: the
    prompt of a new lane is *pending*, like any other committed id that the cache does
    not hold yet. Closing the generator stops at once and leaves nothing behind.

    :param session: The model and its cache; holds no lanes yet.
    :param batch: The jobs, and what is done with drafts and decisions at the edges.
    """
    parents, lanes, lengths = batch.join()
    while lanes:
        # keep: the cache drops rejected drafts, finished lanes and what nobody continues
        for lane, length in zip(lanes, session.keep(parents, lengths), strict=True):
            lane.held = length
        # draft: guesses, and the constraint's states along them; masks begin to fill
        turn = batch.draft(lanes, session.max_draft)
        # forward: one call over pending and drafted ids of all lanes
        began = time.perf_counter()
        try:
            logits = session.forward(turn.feeds, turn.wants, turn.whole)
        except CacheFull as full:
            batch.give_up(turn, full)
        else:
            turn.forward_s, turn.cache_bytes = time.perf_counter() - began, session.bytes()
            turn.watched, turn.reused = session.watched, session.reused
            # score and select: on the device, one transfer at the end
            chosen = choose(logits, turn.groups, len(lanes), turn.await_masks())
            del logits  # large, and the next forward's are made in its place
            turn.choose_s = time.perf_counter() - began - turn.forward_s
            # clip: end tokens, stop strings, constraint, budget; commit
            batch.commit(turn, chosen)
        yield turn
        # and who goes on, with those that join
        parents, lanes, lengths = batch.join()
