"""What caches cost and what they change, on documents, beside the exact cache."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from decodeplug.caches.dense import DenseLanes
from decodeplug.contracts import Session
from decodeplug.errors import BadLogits, BadOption
from decodeplug.inference import inference

__all__ = ["Difference", "Fidelity", "Row", "difference", "measure"]

_PIECE = 256  # ids that all caches are fed before any is fed the next


@dataclass(frozen=True, slots=True)
class Row:
    """One cache on all documents.

    :ivar cache: Its name and options. :ivar is_exact: It claims to be.
    :ivar bytes_per_id: Bytes at the end of a document divided by its ids, all layers together. :ivar peak_bytes: The most that
        it held, of any document.
    :ivar of_float16, of_own: ``bytes_per_id`` divided by what keys and values take in float16, and in the model's dtype; None where
        the model has a cache of its own.
    :ivar kl: Divergence of the next id's distribution from that of the exact cache, nats, mean over all ids behind ``behind``.
    :ivar top1: Share of these ids at which both have the same likeliest next id.
    :ivar perplexity: Of the documents, these ids. :ivar perplexity_ratio: Divided by that with the exact cache.
    :ivar step_ms: Milliseconds of a step of one id behind the longest document, median. :ivar step_ratio: Divided by that of the
        exact cache, steps taken in turns.
    """

    cache: str
    is_exact: bool
    bytes_per_id: float
    peak_bytes: int
    of_float16: float | None
    of_own: float | None
    kl: float
    top1: float
    perplexity: float
    perplexity_ratio: float
    step_ms: float
    step_ratio: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """A report.

    :ivar model: Its class. :ivar dtype: Of its weights. :ivar ids: How many were judged. :ivar documents: How many, and
        ``longest`` of them. :ivar behind: Ids at the beginning of each document that are not judged.
    """

    model: str
    dtype: str
    documents: int
    longest: int
    behind: int
    ids: int
    rows: Sequence[Row]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(slots=True)
class _Judged:
    """Sums over the ids of one cache."""

    spec: Any = None
    kl: float = 0.0
    same: int = 0
    loss: float = 0.0
    ids: int = 0
    held: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    peak: int = 0
    steps: list[float] = field(default_factory=list[float])
    numbers: float = 0.0

    @property
    def away(self) -> float:
        """KL divergence, mean over the ids; rounding may make it less than 0."""
        return max(0.0, self.kl / self.ids)

    @property
    def top1(self) -> float:
        return self.same / self.ids

    @property
    def mean_loss(self) -> float:
        return self.loss / self.ids

    def add(self, exact: Tensor, found: Tensor, following: Tensor) -> None:
        """Take some ids into account: log-probabilities ``[ids, vocab]`` of both, and the id that follows each, -1: none."""
        if bool(found.isnan().any()):
            place = int(found.isnan().any(-1).nonzero()[0])
            raise BadLogits(
                self.ids + place, because=f"with cache {described(self.spec)} the model says what is no number"
            )
        apart = torch.where(exact == -torch.inf, 0.0, exact.exp() * (exact - found))
        self.kl += float(apart.sum())
        self.same += int((exact.argmax(-1) == found.argmax(-1)).sum())
        known = following >= 0
        self.loss -= float(found[known].gather(1, following[known, None]).sum())
        self.ids += len(found)


def measure(
    host: Any,
    caches: Sequence[Any],
    documents: Sequence[Sequence[int]],
    *,
    behind: int = 256,
    steps: int = 15,
    tell: Callable[[float], None] = lambda share: None,
) -> Fidelity:
    """Feed documents to a model with several caches at once, and compare what it says with each.

    :param host: A ``decodeplug.Host``; its model is not changed. :param caches: Names, mappings or specs; "dense" is what they
        are compared with, whether it is among them or not.
    :param documents: Ids, each within the model's window. :param behind: Ids at the beginning of each that are not judged.
    :param steps: Steps that are timed with each cache. :param tell: Called with the share that is done.
    :raises BadOption: A document is too short or too long, or there is none.
    :raises DecodeplugError: The model cannot use one of the caches.
    """
    target, registry = host.target, host.plugins.registry
    specs = [registry.build("cache", cache) for cache in caches]
    for spec in specs:
        target.refuse_cache(spec)
    window = target.context_window
    if not documents or not specs or steps < 1:
        raise BadOption(
            "cache report", caches=len(specs), documents=len(documents), steps=steps, wanted="at least one of each"
        )
    for ids in documents:
        if not behind + 2 <= len(ids) or (window is not None and len(ids) + steps > window):
            to = "" if window is None else f" and at most {window - steps:,}"
            raise BadOption("cache report", ids=len(ids), wanted=f"documents of at least {behind + 2:,} ids{to}")
    longest = max(documents, key=len)
    exact = _Judged(registry.build("cache", "dense"))
    asked = [exact if spec == exact.spec else _Judged(spec) for spec in specs]
    judged = [exact, *(one for one in asked if one is not exact)]
    for number, ids in enumerate(documents):
        _read(
            target,
            judged,
            ids,
            behind,
            steps if ids is longest else 0,
            lambda s, n=number: tell((n + s) / len(documents)),
        )
    own = torch.finfo(target.dtype).bits // 8
    return Fidelity(
        type(target.module).__name__,
        str(target.dtype).removeprefix("torch."),
        len(documents),
        len(longest),
        behind,
        exact.ids,
        [_row(one, exact, own) for one in asked],
    )


class Difference(NamedTuple):
    """How far one model is from another on documents; the names are those of :class:`Row`."""

    kl: float
    top1: float
    perplexity: float
    perplexity_ratio: float


@inference
def difference(target: Any, other: Any, documents: Sequence[Sequence[int]]) -> Difference:
    """What another model says of documents, beside this one.

    :param target: The ``target`` of a ``decodeplug.Host``. :param other: That of another, with the same vocabulary.
    :param documents: Ids, within both windows.
    """
    one, changed = _Judged(), _Judged()
    for ids in documents:
        _compare([target.session(), other.session()], [one, changed], ids)
    return Difference(
        changed.away, changed.top1, math.exp(changed.mean_loss), math.exp(changed.mean_loss - one.mean_loss)
    )


@inference
def _read(
    target: Any,
    judged: Sequence[_Judged],
    ids: Sequence[int],
    behind: int,
    steps: int,
    tell: Callable[[float], None],
) -> None:
    """One document, with all caches side by side."""
    sessions = [target.session(one.spec) for one in judged]
    _compare(sessions, judged, ids, behind, tell)
    judged[0].numbers = _numbers(sessions[0])
    for session, one in zip(sessions, judged, strict=True):
        one.held.append((session.bytes(), len(ids)))
    text = list(ids)
    for number in range(steps):
        text.append(ids[number])
        for session, one in zip(sessions, judged, strict=True):
            began = time.perf_counter()
            _fed(session, text, len(text) - 1).argmax().item()
            one.steps.append(time.perf_counter() - began)


def _compare(
    sessions: Sequence[Session],
    judged: Sequence[_Judged],
    ids: Sequence[int],
    behind: int = 0,
    tell: Callable[[float], None] = lambda share: None,
) -> None:
    """Feed a document to sessions without lanes, and judge what each says by what the first one does."""
    for session in sessions:
        session.keep([-1], [0])
    for begin in range(0, len(ids), _PIECE):
        end = min(begin + _PIECE, len(ids))
        first = max(0, behind - begin)
        said: Tensor | None = None
        for session, one in zip(sessions, judged, strict=True):
            found = _fed(session, ids[:end], begin)[first:].float().log_softmax(-1)
            said = found if said is None else said
            following = torch.tensor([*ids, -1][begin + 1 : end + 1]).to(said.device)[first:]
            one.add(said, found.to(said.device), following)
            one.peak = max(one.peak, session.bytes())
        tell(end / len(ids))


def _fed(session: Session, ids: Sequence[int], begin: int) -> Tensor:
    """Feed the ids from ``begin`` on, and those before that the cache does not hold; ``[ids, vocab]`` logits of the former."""
    held = session.keep([0], [begin])[0]
    return session.forward([ids[held:]], [len(ids) - begin])


def _numbers(session: Any) -> float:
    """Numbers that an id has in the exact cache, all layers together."""
    cache = getattr(session, "cache", None)
    buffers = [buffer.data for layer in cache.rows for buffer in layer.buffers] if isinstance(cache, DenseLanes) else []
    return float(sum(data[0, 0].numel() for data in buffers if data is not None))


def _row(one: _Judged, exact: _Judged, own: int) -> Row:
    held = sum(held for held, _ in one.held) / sum(ids for _, ids in one.held)
    step = median(one.steps)
    return Row(
        cache=described(one.spec),
        is_exact=one.spec.exact,
        bytes_per_id=held,
        peak_bytes=one.peak,
        of_float16=held / (2 * exact.numbers) if exact.numbers else None,
        of_own=held / (own * exact.numbers) if exact.numbers else None,
        kl=one.away,
        top1=one.top1,
        perplexity=math.exp(one.mean_loss),
        perplexity_ratio=math.exp(one.mean_loss - exact.mean_loss),
        step_ms=1000 * step,
        step_ratio=step / median(exact.steps),
    )


def described(spec: Any) -> str:
    """A cache by its name, and the options that are not what they are by default."""
    listed: Sequence[Any] = fields(spec) if is_dataclass(spec) else ()
    options = [
        f"{option.name}={value:g}" if isinstance(value, float) else f"{option.name}={value}"
        for option in listed
        if (value := getattr(spec, option.name)) != option.default and option.name != "calibration"
    ]
    name = str(getattr(spec, "name", spec))
    return f"{name}={','.join(options)}" if options else name
