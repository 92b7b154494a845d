"""The routing of a family's tiny model, as it is reported under every kind of strategy, against its definition."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from families.precision import StaysInFloat64
from routing.definitions import OF_CLASS, Routed

from decodeplug import Host, Request
from decodeplug.plugin import Draft
from decodeplug.routing import Routing

PROMPTS = (
    (5, 77, 130, 9, 260),
    (300, 41, 7, 7, 19, 444, 81, 12, 77, 6, 250, 31),
    (90, 17, 400, 401, 8, 33, 250, 2, 64),
)
NEW_TOKENS = 7
ROUTERS = ("router", "gate")


@dataclass
class Outcome:
    """What was compared: texts, choices of experts, those that were wrong, the largest difference of a weight or probability, and
    which sets of a layer's experts there were.
    """

    path: str = ""
    layers: int = 0
    texts: int = 0
    choices: int = 0
    wrong: int = 0
    worst: float = 0.0
    sets: set[tuple[int, ...]] = field(default_factory=set)


class OftenRight:
    """Drafts three ids in every turn, of which some are right."""

    name, prior, insists = "often-right", 0.8, True

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        self.texts = [
            [token + 1 if place >= prompt and place % 5 == 4 else token for place, token in enumerate(text)]
            for prompt, text in zip(map(len, PROMPTS), texts, strict=True)
        ]

    def draft(self, lane: Any, room: int) -> Draft:
        prompt = list(lane.ids[: lane.prompt_length])
        text = next((text for text in self.texts if text[: lane.prompt_length] == prompt), [])
        tokens = tuple(text[len(lane.ids) :][: min(3, room)])
        return Draft(tokens, (self.name,) * len(tokens))


def bias_choices(model: Any) -> None:
    """Give corrections that only count for the choice, and routers that are built with zeros, a value: else they would show nothing."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, values in [*model.named_buffers(), *model.named_parameters()]:
            if name.rpartition(".")[2] in ("e_score_correction_bias", "expert_bias", "balancing_biases"):
                values += 0.05 * torch.randn(values.shape, generator=random, dtype=torch.float64).to(values)
            elif name.endswith(".tid2eid"):
                values.copy_(torch.randint(0, 4, values.shape, generator=random))
            elif values.dim() == 2 and values.is_floating_point() and not values.any():
                values += 0.3 * torch.randn(values.shape, generator=random, dtype=torch.float64).to(values)


def routers_of(model: Any, routing: Routing) -> list[Any]:
    """The module that chooses, of each layer of a report."""
    found = []
    for name in routing.names:
        block = model.get_submodule(name)
        children = (getattr(block, one, None) for one in ROUTERS)
        found.append(next((child for child in children if child is not None), block))
    return found


def by_definition(host: Host, routers: Sequence[Any], ids: Sequence[int], prompt: int) -> list[Routed]:
    """What each router chooses for a text that the oracle feeds alone: a prompt at once, then as the model wants it."""
    seen: list[list[Routed]] = [[] for _ in routers]
    handles = []
    for place, router in enumerate(routers):

        def note(module: Any, args: Any, kwargs: Any, place: int = place) -> None:
            given = tuple(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor))
            seen[place].append(OF_CLASS[type(module).__name__](module, given))

        handles.append(router.register_forward_pre_hook(note, with_kwargs=True))
    try:
        session = host.target.session("none")
        session.keep([-1], [0])
        session.forward([list(ids)], [len(ids) - prompt + 1])
    finally:
        for handle in handles:
            handle.remove()
    return [Routed(*(torch.cat([one[which] for one in layer]) for which in range(3))) for layer in seen]


def compare(outcome: Outcome, host: Host, result: Any, routing: Routing) -> None:
    """Add what one text shows."""
    ids = [*result.prompt_ids, *result.token_ids][:-1]
    assert routing.token_ids.tolist() == ids
    wanted = by_definition(host, routers_of(host.model, routing), ids, min(len(result.prompt_ids), len(ids)))
    outcome.texts += 1
    outcome.layers = len(wanted)
    for layer, one in enumerate(wanted):
        experts, weights = routing.experts[:, layer].double(), routing.weights[:, layer].double()
        found, order = experts.sort(-1)
        right, place = one.experts.double().cpu().sort(-1)
        k = right.shape[-1]
        found, order = found[:, -k:], order[:, -k:]
        outcome.choices += right.numel()
        outcome.sets.update((layer, *chosen) for chosen in right.long().tolist())
        outcome.wrong += int((found != right).sum())
        off = (weights.gather(-1, order) - one.weights.cpu().gather(-1, place)).abs().max()
        count = one.probs.shape[-1]
        far = (routing.probs[:, layer, :count].double() - one.probs.cpu()).abs().max()
        outcome.worst = max(outcome.worst, float(off), float(far))


def outcome_of(model: Any) -> Outcome:
    """Greedy, beams and drafts, each alone and all together in one ragged batch."""
    with contextlib.nullcontext() if model.dtype == torch.float32 else StaysInFloat64():
        bias_choices(model)
        with Host(model, None, plugins=[]) as host:
            outcome = Outcome(host.target.path)
            given: dict[str, Any] = {"inspectors": ["moe-routing"], "max_new_tokens": NEW_TOKENS}
            texts = [host.generate(prompt, max_new_tokens=NEW_TOKENS) for prompt in PROMPTS]
            drafter = OftenRight([[*text.prompt_ids, *text.token_ids] for text in texts])
            drafts = {"drafters": [drafter] if host.target.can_rewind else []}
            kinds: list[dict[str, Any]] = [{}, {"num_beams": 3, "num_return_sequences": 2}, drafts]
            requests = [Request(prompt, **given, **kind) for prompt, kind in zip(PROMPTS, kinds, strict=True)]
            alone = [host.generate(request.prompt, **request.options) for request in requests]
            for result in [*alone, *host.generate_batch(requests)]:
                routing = result.reports["moe-routing"]
                every = zip([result, *result.alternatives], [routing, *routing.alternatives], strict=True)
                for one, its_routing in every:
                    compare(outcome, host, one, its_routing)
            return outcome
