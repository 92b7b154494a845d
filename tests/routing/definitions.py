"""How each family's router chooses, written down a second time from its paper or configuration: the oracle of the reports.

A definition computes, from what a router is given and from its weights alone, probabilities, chosen experts and weights. It
shares no code with the package, and calls no forward of the router.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

Args = tuple[Any, ...]


class Routed(NamedTuple):
    """``[rows, k]`` experts and weights, ``[rows, N]`` probabilities."""

    experts: Tensor
    weights: Tensor
    probs: Tensor


def _logits(router: Any, args: Args) -> Tensor:
    hidden = args[0].double()
    logits = hidden.reshape(-1, hidden.shape[-1]) @ router.weight.double().T
    bias = getattr(router, "bias", None)
    return logits if bias is None else logits + bias.double()


def _by(name: str) -> Callable[[Any, Args], Tensor]:
    """Logits of a router whose projection is a module of its own."""

    def logits(router: Any, args: Args) -> Tensor:
        hidden = args[0].double()
        return hidden.reshape(-1, hidden.shape[-1]) @ getattr(router, name).weight.double().T

    return logits


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(-1),
    "sigmoid": torch.sigmoid,
    "sqrtsoftplus": lambda logits: softplus(logits).sqrt(),
}


@dataclass(frozen=True)
class Definition:
    """The common shape of routers: logits, scores, a choice by biased scores within groups, weights.

    :param score: What makes scores of logits; a name, or "config" for the configuration's.
    :param rank: What experts are chosen by: "scores" or "logits".
    :param bias: What is added for the choice alone.
    :param groups: How a group is rated, "two" by its two best experts, "max" by its best; None: there are none.
    :param weigh: What weights are made of: "scores", or "softmax" or "sigmoid" of the chosen logits.
    :param norm: Are weights divided by their sum? The name of an attribute says it. :param epsilon: What is added to the sum.
    :param scale: The name of a factor.
    """

    score: str = "softmax"
    rank: str = "scores"
    bias: Callable[[Any, Args], Any] = lambda router, args: getattr(router, "e_score_correction_bias", 0.0)
    groups: str | None = None
    weigh: str = "scores"
    norm: bool | str = True
    epsilon: float = 0.0
    scale: str | None = None
    logits: Callable[[Any, Args], Tensor] = _logits
    k: Callable[[Any], int] = lambda router: router.top_k

    def __call__(self, router: Any, args: Args) -> Routed:
        logits = self.logits(router, args)
        name = self.score if self.score in SCORES else getattr(router.config, self.score)
        scores = SCORES[name](logits)
        ranked = (scores if self.rank == "scores" else logits) + self.bias(router, args)
        if self.groups is not None and getattr(router, "num_group", None):
            ranked = _within_groups(ranked, router.num_group, router.topk_group, self.groups)
        experts = ranked.argsort(dim=-1, descending=True, stable=True)[:, : self.k(router)]
        if self.weigh == "softmax":
            weights = logits.gather(-1, experts).softmax(-1)
        elif self.weigh == "sigmoid":
            weights = logits.gather(-1, experts).sigmoid()
        else:
            weights = scores.gather(-1, experts)
        if getattr(router, self.norm) if isinstance(self.norm, str) else self.norm:
            weights = weights / (weights.sum(-1, keepdim=True) + self.epsilon)
        if self.scale is not None:
            weights = weights * float(getattr(router, self.scale))
        return Routed(experts, weights, scores / scores.sum(-1, keepdim=True))


def _within_groups(ranked: Tensor, groups: int, kept: int, rated: str) -> Tensor:
    """Experts of the groups that are not among the best come last."""
    by_group = ranked.unflatten(-1, (groups, -1))
    best = by_group.sort(-1, descending=True).values
    rates = best[..., :2].sum(-1) if rated == "two" else best[..., 0]
    places = rates.argsort(-1, descending=True)[:, :kept]
    inside = torch.zeros_like(rates, dtype=torch.bool).scatter_(-1, places, True)
    return torch.where(inside[..., None], by_group, -torch.inf).flatten(-2)


def gemma4(router: Any, args: Args) -> Routed:
    hidden = args[0].double()
    normed = hidden * (hidden.pow(2).mean(-1, keepdim=True) + router.eps).rsqrt()
    logits = (normed * router.scale.double() * router.hidden_size**-0.5) @ router.proj.weight.double().T
    probs = logits.reshape(-1, logits.shape[-1]).softmax(-1)
    chosen, experts = probs.topk(router.config.top_k_experts)
    return Routed(experts, chosen / chosen.sum(-1, keepdim=True) * router.per_expert_scale.double()[experts], probs)


def inkling(router: Any, args: Args) -> Routed:
    """Routed and shared experts share one sum of weights."""
    logits = _logits(router, args)
    routed, shared = logits[:, : router.num_experts], logits[:, router.num_experts :]
    scores = routed.sigmoid()
    experts = (scores + router.e_score_correction_bias.double()).topk(router.top_k).indices
    chosen = scores.gather(-1, experts)
    weights = chosen / (chosen.sum(-1, keepdim=True) + shared.sigmoid().sum(-1, keepdim=True))
    scale = router.route_scale * router.global_scale.double()
    return Routed(experts, weights * scale, scores / scores.sum(-1, keepdim=True))


def phimoe(router: Any, args: Args) -> Routed:
    """SparseMixer, arXiv:2409.12136: the second choice is made as if the first one were not there, among those that are near enough."""
    logits = _logits(router, args)
    left, experts, weights = logits, [], []
    for _ in range(2):
        best, place = left.max(-1, keepdim=True)
        far = (best - logits) / torch.maximum(logits.abs(), best) > 2 * router.router_jitter_noise
        near = left.masked_fill(far, -torch.inf)
        experts.append(place)
        weights.append(near.softmax(-1).gather(-1, place))
        left = left.scatter(-1, place, -torch.inf)
    return Routed(torch.cat(experts, -1), torch.cat(weights, -1), logits.softmax(-1))


def zaya(router: Any, args: Args) -> Routed:
    """A small network chooses, with the choice to skip the layer as its last one; it goes on from the layer before."""
    hidden, before = args[0].double(), args[1] if len(args) > 1 else None
    states = hidden @ router.down_proj.weight.double().T + router.down_proj.bias.double()
    if router.use_eda and before is not None:
        states = states + before.double() * router.router_states_scale.double()
    probs = router.router_mlp(states).flatten(0, -2).softmax(-1)
    experts = (probs + router.balancing_biases.double()).topk(router.top_k).indices
    weights = probs.gather(-1, experts)
    return Routed(experts, torch.where(experts == router.num_experts, 0.0, weights), probs)


def llama4(router: Any, args: Args) -> Routed:
    logits = _logits(router, args)
    experts = logits.topk(router.top_k).indices
    scores = logits.sigmoid()
    return Routed(experts, scores.gather(-1, experts), scores / scores.sum(-1, keepdim=True))


def doge(block: Any, args: Args) -> Routed:
    """Product keys, arXiv:1907.05242, by trying all pairs; the halves are laid out as the model does it."""
    hidden = args[0].double()
    rows, keys = hidden.shape[0] * hidden.shape[1], block.num_keys
    halves = (hidden @ block.router_gate.weight.double().T).reshape(2, rows, keys)
    every = (halves[0][:, :, None] + halves[1][:, None, :]).flatten(1)
    chosen, experts = every.topk(block.top_k)
    return Routed(experts, chosen.softmax(-1), every.softmax(-1))


def hashed(router: Any, args: Args) -> Routed:
    """Experts are looked up by token, and weighed by what the router thinks of them."""
    scores = softplus(_logits(router, args)).sqrt()
    experts = router.tid2eid[args[1].reshape(-1)]
    weights = scores.gather(-1, experts)
    weights = weights / weights.sum(-1, keepdim=True) * router.routed_scaling_factor
    return Routed(experts, weights, scores / scores.sum(-1, keepdim=True))


PLAIN = Definition(norm="norm_topk_prob")
DEEPSEEK = Definition("sigmoid", groups="two", norm="norm_topk_prob", scale="routed_scaling_factor")
GIVEN_BIAS = Definition("sigmoid", bias=lambda router, args: args[1].double())

OF_CLASS: dict[str, Callable[[Any, Args], Routed]] = {
    **dict.fromkeys(
        ("FlexOlmoTopKRouter", "MellumTopKRouter", "OlmoeTopKRouter", "Qwen2MoeTopKRouter", "Qwen3MoeTopKRouter",
         "Qwen3NextTopKRouter", "Qwen4ExpTextTopKRouter", "LaraMiniTopKRouter"), PLAIN),
    **dict.fromkeys(
        ("Qwen3_5MoeTopKRouter", "Qwen3VLMoeTextTopKRouter", "MixtralTopKRouter", "MiniMaxTopKRouter",
         "Qwen3OmniMoeThinkerTextTopKRouter"), Definition()),
    "HunYuanMoEV1Gate": Definition(logits=_by("wg")),
    "JambaTopKRouter": Definition(norm=False),
    **dict.fromkeys(
        ("DeepseekV3TopkRouter", "DeepseekV32TopkRouter", "Dots1TopkRouter", "Glm4MoeTopkRouter", "Glm4MoeLiteTopkRouter",
         "Glm4vMoeTextTopkRouter", "Glm5NextTextTopkRouter", "GlmMoeDsaTopkRouter", "HYV4TopkRouter", "HYV4VLTopkRouter",
         "KimiLinearTopkRouter", "SolarOpenTopkRouter", "AXK1TopkRouter", "AXK2TopkRouter", "BailingHybridTopkRouter",
         "MiMoV2FlashTopkRouter", "NemotronHTopkRouter", "ExaoneMoeTopkRouter", "Dots3NoteTextTopkRouter"), DEEPSEEK),
    "BeamTopKRouter": Definition("sigmoid", groups="two", norm="norm_topk_prob"),
    **dict.fromkeys(
        ("GraniteMoeTopKRouter", "GraniteMoeSWATopKRouter", "GraniteMoeHybridTopKRouter", "GraniteMoeSharedTopKRouter",
         "AriaTextTopKRouter", "GptOssTopKRouter", "Cohere2MoeTopKRouter"), Definition(weigh="softmax", norm=False)),
    "JetMoeTopKGating": Definition(weigh="softmax", norm=False, logits=_by("layer")),
    **dict.fromkeys(
        ("DeepseekV2TopkRouter", "DeepseekOcr2TextTopkRouter", "UnlimitedOcrTextTopkRouter"),
        Definition(norm=False, groups="max", scale="routed_scaling_factor")),
    "Gemma4TextRouter": gemma4,
    **dict.fromkeys(("Ernie4_5_MoeTopKRouter", "Ernie4_5_VLMoeMoeTopKRouter"), Definition(
        bias=lambda router, args: router.moe_statics.e_score_correction_bias.double().squeeze())),
    "InklingTopkRouter": inkling,
    **dict.fromkeys(("Inkling2TopKRouter", "Inkling2LoopTopKRouter"), Definition("sigmoid", scale="routed_scaling_factor")),
    "DeepseekV4TopKRouter": Definition("sqrtsoftplus", scale="routed_scaling_factor"),
    "DeepseekV4HashRouter": hashed,
    **dict.fromkeys(("MiniMaxM3VLTopKRouter", "Step3p7TopKRouter"), Definition("sigmoid")),
    "MiniMaxM2TopKRouter": GIVEN_BIAS,
    "HYV3TopKRouter": Definition("sigmoid", bias=lambda router, args: args[1].double(), scale="router_scaling_factor"),
    "AfmoeTokenChoiceRouter": Definition(
        "sigmoid", bias=lambda router, args: args[1].double(), scale="route_scale", logits=_by("gate")),
    "LagunaTopKRouter": Definition("sigmoid"),
    "MuseSparkTopkRouter": Definition(
        "sigmoid", scale="routed_scaling_factor", logits=lambda router, args: _logits(router, args) * router.output_multiplier),
    "Lfm2MoeTopKRouter": Definition(
        "sigmoid", bias=lambda router, args: args[1].double() if router.use_expert_bias else 0.0,
        norm="norm_topk_prob", epsilon=1e-6, scale="routed_scaling_factor"),
    "Mistral4TopkRouter": Definition(groups="two", norm="norm_topk_prob", scale="routed_scaling_factor"),
    "MistralLarge4TextTopkRouter": Definition(groups="two", scale="routed_scaling_factor"),
    "LongcatFlashTopkRouter": Definition(norm=False, scale="routed_scaling_factor", logits=_by("classifier")),
    "Kolibri1TopKRouter": Definition("sigmoid", rank="logits", weigh="sigmoid", norm="norm_topk_prob"),
    "FlintTopKRouter": Definition("sigmoid", norm="norm_topk_prob"),
    "PhimoeTopKRouter": phimoe,
    "ZayaRouter": zaya,
    "DbrxRouter": Definition(logits=_by("layer"), k=lambda router: 2),
    "Llama4Router": llama4,
    "DogeCDMoE": doge,
}  # fmt: skip
"""The definition of each class of routers."""
