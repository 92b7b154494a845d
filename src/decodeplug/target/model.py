"""The model that is decoded: what it is, which path it takes, and sessions over it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import Any

import torch

from decodeplug.caches import CacheSpec, Dense, LayerPlan, NoCache, Paged, Quantised, Rolling, StoredInput
from decodeplug.caches.projection import Projection
from decodeplug.contracts import Session
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.positions import GenerateInputs, ModelInputs
from decodeplug.target import hooks, latent, projections
from decodeplug.target.choice import Choice, choose, step_by_step, unwrapped
from decodeplug.target.crossing import CrossingSession
from decodeplug.target.grouping import LaneTraits
from decodeplug.target.lanes import LaneSession
from decodeplug.target.modelstate import model_state
from decodeplug.target.probe import agrees
from decodeplug.target.products import Products
from decodeplug.target.recompute import RecomputeSession
from decodeplug.target.rolling import RollingSession
from decodeplug.target.rows import RowCosts
from decodeplug.target.steps import StepSession
from decodeplug.target.verified import VERIFIED

__all__ = ["Target"]

NAMED: dict[str, CacheSpec] = {part.name: part for part in (Dense(), NoCache(), Paged(), Quantised(), StoredInput())}
PLAIN = {"full_attention", "sliding_attention"}


class Target:
    """A transformers causal language model as the loop sees it.

    :param model: Any model that ``generate()`` works on; also one that
        ``torch.compile`` returned, or one with PEFT's adapters. It is not changed.
    :ivar lock: Held during a forward of the model. :ivar shared: What sessions share, by the spec of their cache.
    :raises UnsupportedModel: The model does not write text from left to right, is in training
        mode, or no way to feed it is known.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.module, call = unwrapped(model)
        self.choice: Choice = choose(self.module)
        self.config: Any = self.module.config.get_text_config(decoder=True)
        self.inputs = ModelInputs(self.module, call, passes_positions=self.choice.quirk.passes_positions)
        self.vocab_size: int = _vocab_size(self.module, self.config)
        self.context_window: int | None = _context_window(self.config)
        handles = hooks.attach(self.module, self.inputs.takes_positions or self.choice.path == "steps")
        self._kept: dict[Any, Any] = {}
        latent.install(self.module)
        self.lock = _lock_of(self.module)
        self.shared: dict[CacheSpec, Any] = {}
        weakref.finalize(
            self.inputs, _remove, handles, self._kept
        )  # sessions hold the inputs, and may outlive the target
        known = {self.module.config.model_type, self.config.model_type} & VERIFIED
        if not known and self.choice.path in ("ragged", "grouped", "single"):
            self._probe()
        self.path: str = self.choice.path
        self.path_reason: str = self.choice.because
        self.can_rewind: bool = self.choice.max_draft != 0
        self._splits: bool | None = None
        self._projections: tuple[Hashable, Sequence[Projection | None]] | None = None

    @cached_property
    def products(self) -> Products:
        """How the model multiplies a few rows."""
        return Products(self.module, self.inputs.call)

    @cached_property
    def rows(self) -> RowCosts:
        """How many rows a forward had better have."""
        return RowCosts(self.products.seconds, self.context_window)

    def costs(self) -> Sequence[float]:
        """What forwards of 0, 1, 2 ... rows may be expected to take beside each other: what their products take.

        :returns: Seconds; nothing where they are not known, or say little of a forward.
        """
        if self.choice.path in ("recompute", "steps") or not self.products.are_most:
            return ()
        return self.products.seconds()

    def _probe(self) -> None:
        """Try the chosen path on a family that nobody has measured; take the slow one if it is wrong."""
        try:
            right = agrees(self.session(), self._as_generate_does(wide=False, remember=False), self.dtype)
        except Exception as failed:
            right, problem = False, f"raised {type(failed).__name__}"
        else:
            problem = "gave other logits than generate()"
        if not right:
            self.choice = step_by_step(f"its family was not measured, and the {self.choice.path} path {problem}")

    @property
    def device(self) -> torch.device:
        """Where ids go in."""
        return self.inputs.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, and so of the logits."""
        return self.module.dtype

    def refuse_cache(self, spec: CacheSpec, plan: LayerPlan | None = None) -> None:
        """Say before a session is opened that this model cannot use a cache.

        :param plan: If there is one already.
        :raises IncompatibleParts: The model has its own cache or none, and the spec is of another kind; or it was made for
            another model.
        """
        if isinstance(spec, Rolling):
            spec = spec.inner
        if self.choice.path in ("recompute", "steps") and not isinstance(spec, Dense | NoCache):
            raise IncompatibleParts(
                f"cache {spec.name!r}",
                type(self.module).__name__,
                because=f"this model keeps its own cache or none: {self.choice.because}",
                instead="Use cache='dense' or cache='none'",
            )
        check = getattr(spec, "check", None)
        if check is not None:
            check(plan or self.plan(spec))

    def session(self, cache: str | CacheSpec = "dense", *, apart: bool = False) -> Session:
        """Open a session without lanes.

        :param cache: "dense", "none" (recompute everything at every forward: the
            oracle), or a cache spec.
        :param apart: It shares nothing with other sessions: its forwards are not those of the model as it is.
        :raises BadOption: There is no cache of that name.
        :raises IncompatibleParts: See :meth:`refuse_cache`.
        """
        spec = NAMED.get(cache) if isinstance(cache, str) else cache
        if spec is None:
            raise BadOption("cache", cache=cache, wanted=f"one of {', '.join(NAMED)}, or a cache spec")
        plan = replace(self.plan(spec), shared={}) if apart else self.plan(spec)
        self.refuse_cache(spec, plan)
        if isinstance(spec, Rolling):
            return RollingSession(self.session(spec.inner, apart=apart), spec)
        choice = self.choice
        if (make := getattr(spec, "make_for_lane", None)) is not None:
            return self._as_generate_does(wide=False, remember=True, make_cache=make)
        with self.lock:  # what sessions share is touched by forwards of others
            lanes = None if isinstance(spec, NoCache) or choice.path in ("recompute", "steps") else spec.open(plan)
        keeps = not isinstance(spec, NoCache) and choice.path != "recompute"
        if lanes is None and (choice.quirk.replay or (keeps and choice.path == "steps")):
            return self._as_generate_does(wide=choice.quirk.wide, remember=keeps)
        session: Session
        if lanes is not None:
            # Models whose lanes must be grouped have no room for padding rows: states would take them in.
            rows = None if choice.lanes.grouping else self.rows
            session = LaneSession(self.inputs, lanes, choice.lanes, self.vocab_size, self.products, rows, self.lock)
            if not getattr(lanes, "is_measured", True):
                # A budget in bytes is of use only if it is known how many an id takes.
                session.keep([-1], [0])
                session.forward([[0]], [1])
                session.keep([], [])
        else:
            session = RecomputeSession(self.inputs, self.vocab_size, choice.quirk.rule(self.config), self.lock)
        limit = choice.quirk.limit(self.config)
        return session if limit is None else CrossingSession(session, limit, keeps=keeps)

    def plan(self, spec: CacheSpec) -> LayerPlan:
        """What a cache of this kind must know of the model."""
        choice = self.choice
        return LayerPlan(
            choice.kinds,
            choice.states,
            self.device,
            choice.quirk.packed,
            choice.windows,
            self.shared,
            partial(model_state, self.module),
            partial(self.feeds_in_pieces, spec),
            self.module,
            cache(self._measured_projections),  # looked at once for each plan
        )

    def _measured_projections(self) -> Sequence[Projection | None]:
        """See :class:`LayerPlan`; none, where layers are not asked for their rows in forwards of ours."""
        with self.lock:
            state = model_state(self.module)
            if self._projections is None or self._projections[0] != state:
                session = self.session()
                found: Sequence[Projection | None] = ()
                if isinstance(session, LaneSession) and self.choice.lanes.own_masks:
                    found = projections.measure(session, self.module, self.vocab_size)
                projections.keep_calls(found, self._kept)
                self._projections = state, found
            return self._projections[1]

    def feeds_in_pieces(self, cache: str | CacheSpec = "dense") -> bool:
        """May a prompt be fed in pieces, with the result of feeding it at once, up to rounding?

        True where all lanes share a forward and every layer is plain attention, of which no id sees what comes later:
        that is found out by a forward of two ids, once. Not where rotary frequencies follow the length of a text.
        """
        choice, spec = self.choice, NAMED.get(cache) if isinstance(cache, str) else cache
        if isinstance(spec, Rolling):
            return self.feeds_in_pieces(spec.inner)
        plain = choice.path == "ragged" and choice.lanes == LaneTraits() and set(choice.kinds) <= PLAIN
        if (
            not plain
            or isinstance(spec, NoCache)
            or hasattr(spec, "make_for_lane")
            or choice.quirk.limit(self.config) is not None
        ):
            return False
        if self._splits is None:
            session = self.session()
            assert isinstance(session, LaneSession)
            session.keep([-1], [0])
            session.forward([[0, 0]], [1])
            self._splits = not session.has_whole_prompts and not hooks.follows_longest(self.module)
        return self._splits

    def _as_generate_does(
        self, *, wide: bool, remember: bool, make_cache: Callable[[Any], Any] | None = None
    ) -> Session:
        inputs = GenerateInputs(self.module, self.inputs.call, make_cache)
        return StepSession(inputs, self.vocab_size, self.lock, wide=wide, remember=remember)


_LOCKS: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()


def _lock_of(module: Any) -> Any:
    """One forward at a time of each model, whoever runs it: modules keep frequencies that follow the longest text."""
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(module, threading.RLock())


def _remove(handles: list[Any], kept: dict[Any, Any]) -> None:
    for handle in (*handles, *kept.values()):
        handle.remove()


def _vocab_size(module: Any, config: Any) -> int:
    head = module.get_output_embeddings()
    weight = getattr(head, "weight", None)
    if weight is not None and weight.dim() == 2:
        rows = getattr(head, "out_features", None) or weight.shape[0]
        return min(rows, getattr(config, "unpadded_vocab_size", None) or rows)  # Inkling cuts its logits
    return config.vocab_size


def _context_window(config: Any) -> int | None:
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None
