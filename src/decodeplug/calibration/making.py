"""From a host and texts to a calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch

from decodeplug.caches.transform.calibrated import COMMAND, Calibration
from decodeplug.calibration.moments import FIRST, gather
from decodeplug.calibration.scales import basis_of
from decodeplug.errors import BadOption, UnsupportedModel
from decodeplug.identity import Identity, fingerprint

__all__ = ["calibrate", "check"]

_PART = COMMAND.removeprefix("decodeplug ")
_PLAIN = {"full_attention", "sliding_attention"}
_LENGTH = 1280
_QUERIES = 256
_WINDOW = 64


def _never() -> bool:
    return False


def check(host: Any, bits: float) -> None:
    """Refuse what cannot be calibrated, before any text is read.

    :raises BadOption: ``bits`` is not between 0 and 16. :raises UnsupportedModel: See :func:`calibrate`.
    """
    if not 0 < bits <= 16:
        raise BadOption(_PART, bits=bits, wanted="more than 0 and at most 16")
    target = host.target
    Identity.of(target.module)
    if target.path != "ragged" or not set(target.choice.kinds) <= _PLAIN:
        raise UnsupportedModel(
            type(target.module).__name__,
            because="only models whose layers are all plain attention can be calibrated",
            instead="Use cache='quantised', which needs no calibration",
        )


def _drawn(vocab_size: int, count: int, seed: int) -> list[int]:
    return torch.randint(vocab_size, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def calibrate(
    host: Any,
    texts: Sequence[Sequence[int]] | None,
    *,
    bits: float = 3.0,
    source: str,
    most: int = 32,
    seed: int = 0,
    tell: Callable[[float], None] = lambda share: None,
    stop: Callable[[], bool] = _never,
) -> Calibration:
    """Learn how the older keys and values of a model are best written in few bits.

    :param host: A ``decodeplug.Host``; its model is not changed.
    :param texts: Ids; they are put behind one another and cut into documents of 1,280 ids, or fewer if the model's window is
        smaller. None: nothing but the weights is known, and ids that are drawn at random are read; what is learned is coarser.
    :param most: Documents that are read at most, evenly spread.
    :param bits: For a number, on the average. :param source: Where the texts come from, for the file.
    :param tell: Called with the share that is done. :param stop: Asked after each document: is that enough?
    :raises BadOption: There is less text than one document, or ``bits`` is not between 0 and 16.
    :raises UnsupportedModel: It has layers that are not plain attention, or an embedding that cannot be read.
    """
    check(host, bits)
    target = host.target
    identity, weights = Identity.of(target.module), fingerprint(target.module)
    length = min(_LENGTH, target.context_window or _LENGTH)
    queries = min(_QUERIES, length // 4)
    window = min(_WINDOW, length // 8)
    ids = _drawn(target.vocab_size, most * length, seed) if texts is None else list(chain.from_iterable(texts))
    documents = [ids[begin : begin + length] for begin in range(0, len(ids) - length + 1, length)]
    if not documents:
        raise BadOption(_PART, ids=len(ids), wanted=f"more text: at least {length:,} ids")
    taken = min(most, len(documents))
    documents = [documents[place * len(documents) // taken] for place in range(taken)]
    if length - queries - window <= FIRST:
        raise UnsupportedModel(type(target.module).__name__, because=f"its window of {length} ids is too short")
    moments, count = gather(host, documents, window=window, queries=queries, seed=seed, tell=tell, stop=stop)
    return Calibration([basis_of(layer) for layer in moments], identity, weights, float(bits), count * length, source)
