"""Products of a few rows with large weights, each in the way that is the fastest on this machine.

Libraries for matrix products have one way for a single row, which on some processors takes three times as long as to read
the weight, and another for many, and some are slow between: eight rows can take twice as long as one, though the weight is
read once for both. So the other ways of :mod:`decodeplug.target.ways` are tried for each number of rows and inputs.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import time
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import has_torch_function

from decodeplug.inference import inference
from decodeplug.target.modelstate import StandIn
from decodeplug.target.ways import Choice, Way, ways_of
from decodeplug.target.weights import BLOCK, Sample, can_be_cut, is_whole, output_of, samples

__all__ = ["Products"]

# What is tried; with more of them, libraries are at their best.
_ROWS = tuple(range(1, 9)) + (12, 16, 32)
_MOST = _ROWS[-1]
_CLEARLY = 0.9  # another way is taken where it needs at most this share of the time
_REPEATS = 4
_WARM = 4  # products before those that are timed: in a forward, too, others like them were made before
_HOPELESS = 1.5  # what took so many times as long as the best, twice, is not tried again


@dataclass(frozen=True, slots=True)
class _Chosen:
    """How some layers multiply.

    :ivar by_inputs: Those with so many inputs. :ivar others: Those with other numbers of inputs, of which none was tried.
    """

    by_inputs: Mapping[int, Choice] = field(default_factory=dict[int, Choice])
    others: Choice = (None,) * (_MOST + 1)

    def of(self, inputs: int) -> Choice:
        return self.by_inputs.get(inputs, self.others)


@dataclass(frozen=True, slots=True)
class _Tried:
    """What was found out.

    :ivar seconds: See :meth:`Products.seconds`; each in the best way.
    :ivar chosen: For the layers, and for the output; nothing where nothing was tried.
    """

    seconds: Sequence[float] = ()
    chosen: Sequence[_Chosen] = ()


_Key = tuple[int, bool, torch.dtype | None]
_KNOWN: weakref.WeakKeyDictionary[nn.Module, dict[_Key, _Tried]] = weakref.WeakKeyDictionary()
"""Model -> number of threads, whether other ways than its own may be taken, and dtype -> what was found out: all hosts of one model decide alike."""


class Products:
    """How one model's linear layers multiply a few rows.

    It is tried out when this is made, which mostly takes a second or two, once for a model, and again where
    torch's number of threads or the dtype is another one. On other devices than CPUs layers are left as they are.

    :param module: The model; its weights are only read.
    :param call: What is called to run it: the model, or its compiled form, which is left as it is.
    """

    def __init__(self, module: nn.Module, call: object = None) -> None:
        self._module = weakref.ref(module)
        self._known = _KNOWN.setdefault(module, {})
        self._may_differ = call in (None, module) and not any(map(_is_compiled, module.modules()))
        self._layers: tuple[Sequence[_Layer], Sequence[_Layer]] | None = None
        self._tried()  # not while a forward is timed

    def seconds(self) -> Sequence[float]:
        """What the products of a forward of 0, 1, 2 ... 32 rows take, in a line between numbers that were tried; nothing where it does
        not matter."""
        return self._tried().seconds

    @cached_property
    def are_most(self) -> bool:
        """Do linear layers make up most of what a forward reads? Not where experts are in tensors of their own."""
        module = self._module()
        if module is None:
            return False
        linear = sum(part.weight.nbytes for part in module.modules() if isinstance(part, nn.Linear))
        return linear > sum(weight.nbytes for weight in module.parameters() if weight.dim() > 2)

    @contextlib.contextmanager
    def quick(self, rows: int) -> Generator[None, None, None]:
        """While it is open, large linear layers of the model multiply as is best for the number of rows that they are given.

        Another thread that calls the model meanwhile gets the same products, up to rounding.

        :param rows: Of the forward. For many nothing is done.
        """
        if not 1 <= rows <= _MOST or not (tried := self._tried()).chosen:
            yield
            return
        begun: list[_Layer] = []
        try:
            for layers, chosen in zip(self._large(), tried.chosen, strict=True):
                for layer in layers:
                    # An expert and the output may be given fewer rows than the forward has.
                    if any(chosen.of(layer.inputs)[: rows + 1]):
                        begun.append(layer)
                        layer.begin(chosen.of(layer.inputs))
            yield
        finally:
            for layer in begun:
                layer.end()

    def _large(self) -> tuple[Sequence[_Layer], Sequence[_Layer]]:
        """Those of the layers, and the output."""
        if self._layers is None:
            if (module := self._module()) is None:
                return [], []
            parts, output = [part for part in module.modules() if can_be_cut(part)], output_of(module)
            inner = [_Layer(part) for part in parts if part not in output]
            self._layers = inner, [_Layer(part) for part in parts if part in output]
        return self._layers

    def _tried(self) -> _Tried:
        module = self._module()
        weight = None if module is None else next(module.parameters(), None)
        key = torch.get_num_threads(), self._may_differ, None if weight is None else weight.dtype
        tried = self._known.get(key)
        if tried is None:
            found = [] if module is None else samples(module)
            tried = self._known[key] = _try(found, other_ways=self._may_differ) if found else _Tried()
        return tried


class _Layer(StandIn):
    """One linear layer, in the place of whose forward it is called for a while."""

    def __init__(self, layer: nn.Linear) -> None:
        self._layer: Any = weakref.ref(layer)
        self._choice: Choice = ()
        self.inputs = layer.in_features

    def begin(self, choice: Choice) -> None:
        self._choice = choice
        if (layer := self._layer()) is not None:
            layer.__dict__.setdefault("forward", self)  # somebody else's stays

    def end(self) -> None:
        layer = self._layer()
        if layer is not None and layer.__dict__.get("forward") is self:
            layer.__dict__.pop("forward", None)  # heads are a thread's own no more than their layers are

    def __call__(self, input: Tensor) -> Tensor:
        layer = self._layer()
        weight, bias, rows = layer.weight, layer.bias, input.numel() // input.shape[-1]
        way = self._choice[rows] if rows < len(self._choice) else None
        # Whoever looks at products, or has tensors of its own kind, finds those that the model is written in. A weight may
        # have been changed since it was looked at.
        if way is None or not is_whole(weight) or has_torch_function((input, weight)) or _is_cast(input, weight):
            way = nn.functional.linear
        return way(input, weight, bias)


def _is_cast(states: Tensor, weight: Tensor) -> bool:
    """Are products of another dtype than was tried?"""
    return states.dtype != weight.dtype or torch.is_autocast_enabled("cpu")


def _is_compiled(module: nn.Module) -> bool:
    attributes = module.__dict__
    forward = attributes.get("forward")
    by_itself = attributes.get("_compiled_call_impl") is not None or hasattr(forward, "_torchdynamo_orig_callable")
    return by_itself or "_orig_mod" in attributes.get("_modules", ())  # as torch.compile wraps one


def _try(found: Sequence[Sample], *, other_ways: bool) -> _Tried:
    """Time all ways for each number of rows, and take the best ones.

    :param found: Of the layers, and of the output. :param other_ways: May there be any?
    """
    total = dict.fromkeys(_ROWS, 0.0)
    chosen: list[_Chosen] = []
    for share, tries in found:
        can_cut = other_ways and any(len(weight) % BLOCK == 0 for weight in tries[0])
        taken = _seconds(tries, [None, *(ways_of(tries[0][0].dtype) if can_cut else ())]) if tries[0] else {}
        by_inputs: dict[int, Choice] = {}
        for inputs in {weight.shape[1] for weight in tries[0]}:
            here = [place for place, weight in enumerate(tries[0]) if weight.shape[1] == inputs]
            best = {rows: _best(taken, rows, here) for rows in _ROWS}
            by_inputs[inputs] = _for_all_rows({rows: way for rows, (way, _) in best.items()})
            for rows, (_, seconds) in best.items():
                total[rows] += share * seconds
        everywhere = range(len(tries[0]))
        rest = {rows: _best(taken, rows, everywhere)[0] for rows in _ROWS} if taken else dict.fromkeys(_ROWS)
        chosen.append(_Chosen(by_inputs, _for_all_rows(rest)))
    return _Tried([0.0, *(_between(total, rows) for rows in range(1, _MOST + 1))], chosen)


_Taken = Mapping[tuple[Way | None, int], Sequence[float]]
"""Way and number of rows -> seconds of each weight."""


def _best(taken: _Taken, rows: int, places: Sequence[int]) -> tuple[Way | None, float]:
    """In which way so many rows are multiplied with the weights in these places, and what that takes."""
    seconds = {way: sum(took[place] for place in places) for (way, given), took in taken.items() if given == rows}
    best = min(seconds, key=lambda way: seconds[way])
    way = best if seconds[best] <= _CLEARLY * seconds[None] else None
    return way, seconds[way]


def _for_all_rows(ways: Mapping[int, Way | None]) -> Choice:
    """Of rows between two that were tried, what holds for the next one holds."""
    return (None, *(ways[_next_tried(rows)] for rows in range(1, _MOST + 1)))


def _between(total: Mapping[int, float], rows: int) -> float:
    """What so many rows take, in a line between the numbers that were tried."""
    above = _next_tried(rows)
    if above == rows:
        return total[rows]
    below = _ROWS[_ROWS.index(above) - 1]
    share = (rows - below) / (above - below)
    return (1 - share) * total[below] + share * total[above]


def _next_tried(rows: int) -> int:
    return _ROWS[bisect.bisect_left(_ROWS, rows)]


@inference
def _seconds(tries: Sequence[Sequence[Tensor]], ways: Sequence[Way | None]) -> _Taken:
    """What the products of so many rows with each weight of a try take: the least of a few times."""
    half = any(weight.element_size() < 4 for weight in tries[0])
    # One row in half precision stays to the last bit what the model alone makes of it: its rounding decides between tokens.
    of = {rows: ways[:1] if half and rows == 1 else ways for rows in _ROWS}
    least = {(way, rows): [float("inf")] * len(tries[0]) for rows in _ROWS for way in of[rows]}
    turns = itertools.cycle(itertools.pairwise([*tries, tries[0]]))
    for weights in tries:  # those that were loaded and not read yet come from the disk
        _multiply(None, 1, weights)
    for repeat, rows in itertools.product(range(_REPEATS), _ROWS):
        bound = _HOPELESS * min(sum(least[way, rows]) for way in of[rows])
        for way in of[rows]:
            if repeat < 2 or sum(least[way, rows]) <= bound:
                before, weights = next(turns)
                _multiply(way, rows, before[:_WARM])
                least[way, rows] = list(map(min, least[way, rows], _multiply(way, rows, weights)))
    return least


def _multiply(way: Way | None, rows: int, weights: Sequence[Tensor]) -> Sequence[float]:
    """How long the product of so many rows with each weight takes, in seconds."""
    given = [weight.new_ones(rows, weight.shape[1]) for weight in weights]
    took: list[float] = []
    for states, weight in zip(given, weights, strict=True):
        multiply = nn.functional.linear if way is None or len(weight) % BLOCK else way
        began = time.perf_counter()
        multiply(states, weight, None)
        took.append(time.perf_counter() - began)
    return took
