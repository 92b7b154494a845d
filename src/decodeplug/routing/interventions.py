"""What if the routing were another one? Interventions, which are undone after each forward of their request.

They compose: each changes what those before it left. ``layers`` are places among the mixture-of-experts layers, from 0;
None is all of them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.routing.layers import RoutedLayer, routed_layers
from decodeplug.routing.report import Routing
from decodeplug.routing.rerouting import Noisy, Raised, Recorded, Scaled, k_of, rerouted
from decodeplug.whole import whole_number

__all__ = ["Ablate", "ForceExperts", "ReplayRouting", "RouterNoise", "RouterTemperature", "TopExperts"]

Layers = Sequence[int] | int | None
_NOT_RANKED = {
    "DogeCDMoE": "finds an expert by two halves of its number, and ranks none",
    "DeepseekV4HashRouter": "looks experts up in a table by token",
}


@dataclass(frozen=True, slots=True)
class Rerouting:
    """What the interventions here have in common: whose routers they change."""

    name: ClassVar[str]

    layers: Layers = field(default=None, kw_only=True)

    fixed: ClassVar[Mapping[str, str]] = {}
    """Routers that it cannot change, and why."""

    def check(self, model: Any) -> None:
        """Say before the first token that it cannot change a model.

        :raises IncompatibleParts: The model has no mixture-of-experts layers that are known, or a router cannot be changed so.
        :raises BadOption: A layer or an expert does not exist.
        """
        for _, layer in self.chosen(model):
            if (why := self.fixed.get(type(layer.router).__name__)) is not None:
                raise IncompatibleParts(
                    self.name,
                    type(model).__name__,
                    because=f"the router of {layer.name} {why}",
                    instead="Name other layers, or change its logits with moe-temperature or moe-noise",
                )

    def chosen(self, model: Any) -> list[tuple[int, RoutedLayer]]:
        """The layers that it changes, with their places."""
        found = routed_layers(model)
        places = _numbers(self.layers)
        if places is None:
            return list(enumerate(found))
        if any(not 0 <= place < len(found) for place in places):
            raise BadOption(self.name, layers=self.layers, wanted=f"places from 0 to {len(found) - 1}")
        return [(place, found[place]) for place in sorted(set(places))]


@dataclass(frozen=True, slots=True)
class TopExperts(Rerouting):
    """Another number of experts for each token.

    :param k: How many; "all" makes the layer dense. Weights follow the router's own definition.
    :raises BadOption: It is neither.
    """

    name: ClassVar[str] = "moe-top-k"

    k: int | str = 1

    def __post_init__(self) -> None:
        if self.k != "all":
            whole_number(self.name, "k", self.k, 1)

    fixed: ClassVar[Mapping[str, str]] = {
        "PhimoeTopKRouter": "is defined for two experts",
        "DeepseekV4HashRouter": "looks experts up in a table by token",
    }

    def check(self, model: Any) -> None:
        Rerouting.check(self, model)
        for _, layer in self.chosen(model):
            if self._of(layer) > layer.count:
                raise BadOption(self.name, k=self.k, wanted=f"at most the {layer.count} experts of {layer.name}")
            if self._of(layer) == 1 and type(layer.router).__name__ == "LongcatFlashTopkRouter":
                raise IncompatibleParts(
                    self.name,
                    type(model).__name__,
                    because=f"the experts of {layer.name} cannot be told of a single choice, in transformers itself",
                    instead="Use moe-top-k=2",
                )

    @contextlib.contextmanager
    def attach(self, model: Any) -> Generator[None, None, None]:
        layers = self.chosen(model)
        with contextlib.ExitStack() as stack:
            for _, layer in layers:
                stack.enter_context(k_of(layer, self._of(layer)))
            yield

    def _of(self, layer: RoutedLayer) -> int:
        return layer.count if isinstance(self.k, str) else self.k


@dataclass(frozen=True, slots=True)
class Ranked(Rerouting):
    """What has some experts ranked first, or last.

    :param experts: Their numbers.
    """

    fixed: ClassVar[Mapping[str, str]] = _NOT_RANKED
    rank: ClassVar[float]

    experts: Sequence[int] | int = ()

    def check(self, model: Any) -> None:
        Rerouting.check(self, model)
        _check_experts(self.name, self.experts, self.chosen(model))

    def attach(self, model: Any) -> Any:
        numbers = _numbers(self.experts) or []
        return rerouted(self.chosen(model), lambda layer, number: Raised(layer, number, numbers, self.rank))


@dataclass(frozen=True, slots=True)
class Ablate(Ranked):
    """Some experts are never chosen; the router takes the next best. As many as a token gets must be left.

    :param experts: Their numbers.
    """

    name: ClassVar[str] = "moe-ablate"
    rank: ClassVar[float] = -math.inf


@dataclass(frozen=True, slots=True)
class ForceExperts(Ranked):
    """Some experts are always chosen, and the router fills up with the best of the others.

    :param experts: Their numbers; of more than a layer chooses, any.
    """

    name: ClassVar[str] = "moe-force"
    rank: ClassVar[float] = math.inf


@dataclass(frozen=True, slots=True)
class RouterTemperature(Rerouting):
    """The router's logits are divided by a number: above 1 it is less sure, below 1 surer.

    :raises BadOption: It is not above 0.
    """

    name: ClassVar[str] = "moe-temperature"

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise BadOption(self.name, temperature=self.temperature, wanted="a number above 0")

    def attach(self, model: Any) -> Any:
        return rerouted(self.chosen(model), lambda layer, number: Scaled(layer, number, 1 / self.temperature))


@dataclass(frozen=True, slots=True)
class RouterNoise(Rerouting):
    """Normal noise is added to the router's logits. It is a function of seed, layer and position (of what is in sight, where
    that is less than the text), so drafts and batches see the same.

    :param scale: Its standard deviation. :param seed: Of the noise.
    :raises BadOption: The scale is negative.
    """

    name: ClassVar[str] = "moe-noise"

    scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise BadOption(self.name, scale=self.scale, wanted="a number of at least 0")
        whole_number(self.name, "seed", self.seed, 0)

    def attach(self, model: Any) -> Any:
        return rerouted(self.chosen(model), lambda layer, number: Noisy(layer, number, self.scale, self.seed))


@dataclass(frozen=True, slots=True, eq=False)
class ReplayRouting(Rerouting):
    """Tokens are computed by the experts, and with the weights, that a recorded routing has at their positions; behind its
    end the router chooses.

    :param routing: As the inspector ``moe-routing`` reports it, of the same model, with this ``k``.
    """

    name: ClassVar[str] = "moe-replay"
    by_position: ClassVar[bool] = True

    routing: Routing

    def check(self, model: Any) -> None:
        found = routed_layers(model)
        if self.routing.experts.shape[1] != len(found):
            wanted = f"a routing of {len(found)} layers, as {type(model).__name__} has them"
            raise BadOption(self.name, routing=f"one of {self.routing.experts.shape[1]} layers", wanted=wanted)
        for _, layer in self.chosen(model):
            if layer.experts is None:
                raise IncompatibleParts(
                    self.name,
                    type(model).__name__,
                    because=f"the experts of {layer.name} are not told by whom they were chosen",
                    instead="Use moe-force",
                )

    @contextlib.contextmanager
    def attach(self, model: Any) -> Generator[None, None, None]:
        handles = []
        try:
            for number, layer in self.chosen(model):
                handles.append(layer.tell(Recorded(self.routing, number)))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _numbers(given: Layers) -> list[int] | None:
    return None if given is None else [given] if isinstance(given, int) else list(given)


def _check_experts(name: str, experts: Sequence[int] | int, layers: Sequence[tuple[int, RoutedLayer]]) -> None:
    numbers = _numbers(experts)
    for _, layer in layers:
        if not numbers or any(not 0 <= number < layer.count for number in numbers):
            raise BadOption(name, experts=experts, wanted=f"numbers from 0 to {layer.count - 1}, at least one")
        k = getattr(layer.router, "top_k", 1)
        if name == Ablate.name and layer.count - len(set(numbers)) < k:
            raise BadOption(name, experts=experts, wanted=f"at least {k} of the {layer.count} experts to be left")
