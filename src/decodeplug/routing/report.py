"""The routing of one text: which experts computed each token, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.files import read_tensors, write_tensors

if TYPE_CHECKING:
    from decodeplug.routing.tap import RoutingTap

__all__ = ["Routing", "load_of"]

_TENSORS = ("token_ids", "experts", "weights", "probs", "rejected", "dropped")


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """Which experts computed each token of a text.

    The last token that was written is left out: no forward has seen it.

    :ivar layers: Index of the decoder layer of each mixture-of-experts layer; one that routes twice is there twice.
    :ivar names: The path of each in the model.
    :ivar token_ids: ``[tokens]`` int64, prompt, then what was written. :ivar prompt_length: How many of them are prompt.
    :ivar experts: ``[tokens, layers, k]`` int64, as the model orders them; -1 where a layer chooses fewer than k, or the
        token was never computed. :ivar weights: ``[tokens, layers, k]`` what each expert's output counts, as the model has it.
    :ivar probs: ``[tokens, layers, experts]`` the router's probability of each expert.
    :ivar counts: How many experts each layer has; some have fewer than ``probs`` has room for.
    :ivar rejected: ``[layers, experts]`` int64: how often each expert was chosen for drafted tokens that were not kept.
    :ivar dropped: The same for tokens of hypotheses that were given up.
    :ivar alternatives: The routing of the further texts of the request, in the order of ``result.alternatives``.
    """

    layers: Sequence[int]
    names: Sequence[str]
    token_ids: Tensor
    prompt_length: int
    experts: Tensor
    weights: Tensor
    probs: Tensor
    counts: Sequence[int]
    rejected: Tensor
    dropped: Tensor
    alternatives: Sequence[Routing] = field(default=(), repr=False)

    @classmethod
    def from_rows(cls, tap: RoutingTap, rows: Tensor, token_ids: Sequence[int], prompt_length: int) -> Routing:
        """What a tap saw of a text: ``[tokens, features]``, on any device."""
        with torch.inference_mode(False):
            seen = tap.unpack(rows.detach().cpu().clone())
            nothing = torch.zeros(seen.probs.shape[1:], dtype=torch.int64)
            return cls(
                layers=[layer.index for layer in tap.layers],
                names=[layer.name for layer in tap.layers],
                token_ids=torch.tensor(token_ids, dtype=torch.int64),
                prompt_length=min(prompt_length, len(token_ids)),
                experts=seen.experts,
                weights=seen.weights,
                probs=seen.probs,
                counts=tap.counts,
                rejected=nothing,
                dropped=nothing,
            )

    @property
    def load(self) -> Tensor:
        """``[layers, experts]`` int64: for how many tokens each expert was chosen."""
        return load_of(self.experts, self.probs.shape[-1])

    @property
    def prompt(self) -> Routing:
        """That of the prompt alone."""
        return self.part(0, self.prompt_length)

    @property
    def generated(self) -> Routing:
        """That of what was written."""
        return self.part(self.prompt_length, len(self.token_ids))

    def part(self, start: int, stop: int) -> Routing:
        """That of the tokens from ``start`` to before ``stop``."""
        cut = {name: getattr(self, name)[start:stop] for name in ("token_ids", "experts", "weights", "probs")}
        count = len(cut["token_ids"])
        return replace(self, **cut, prompt_length=min(max(self.prompt_length - start, 0), count), alternatives=())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the alternatives, as JSON-serialisable values."""
        tensors = {name: getattr(self, name).tolist() for name in _TENSORS}
        return {**self._facts(), **tensors, "load": self.load.tolist()}

    def to_safetensors(self, path: str | Path) -> None:
        """Write everything but the alternatives to a file, which :meth:`from_safetensors` reads."""
        write_tensors(Path(path), {name: getattr(self, name) for name in _TENSORS}, self._facts())

    @classmethod
    def from_safetensors(cls, path: str | Path) -> Routing:
        """Read what :meth:`to_safetensors` wrote.

        :raises BadOption: There is no such file, or it is none of these.
        """
        tensors, facts = read_tensors(Path(path), "routing", "Routing.to_safetensors")
        if not {*_TENSORS} <= tensors.keys() or not {"layers", "names", "prompt_length", "counts"} <= facts.keys():
            raise BadOption("routing", path=str(path), wanted="a file that Routing.to_safetensors wrote")
        known: dict[str, Any] = {**facts, **{name: tensors[name] for name in _TENSORS}}
        return cls(**known)

    def _repr_html_(self) -> str:
        from decodeplug.routing.pages import table  # it needs what measures a routing, which needs this

        return table(self)

    def _facts(self) -> Mapping[str, Any]:
        return {
            "layers": list(self.layers),
            "names": list(self.names),
            "prompt_length": self.prompt_length,
            "counts": list(self.counts),
        }


def load_of(experts: Tensor, count: int) -> Tensor:
    """How often each expert was chosen.

    :param experts: ``[tokens, layers, k]`` int64; negative ones are nobody's.
    :param count: Experts of a layer. :returns: ``[layers, count]`` int64.
    """
    by_layer = experts.transpose(0, 1).flatten(1)
    load = torch.zeros((len(by_layer), count + 1), dtype=torch.int64, device=experts.device)
    ones = torch.ones_like(by_layer)
    return load.scatter_add_(1, torch.where(by_layer < 0, count, by_layer), ones)[:, :count]
