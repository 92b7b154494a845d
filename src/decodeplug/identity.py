"""Which model was something made for? What tells one model from another, and the refusal of any other."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from decodeplug.errors import IncompatibleParts, UnsupportedModel

__all__ = ["Identity", "fingerprint", "layers_of"]

_ROWS = 16  # rows of a layer that are hashed


@dataclass(frozen=True, slots=True)
class Identity:
    """What prediction heads, or a calibration, know of the model that they were made for.

    :ivar hidden_size: Width of what the output layer takes.
    :ivar vocab_size: Rows of the output layer. :ivar model_type: As in ``config.json``.
    :ivar embedding, output: SHA-256 of a few rows of the two layers, rounded to bfloat16, so that the
        same weights are known again when they are loaded with another dtype.
    """

    hidden_size: int
    vocab_size: int
    model_type: str
    embedding: str
    output: str

    @classmethod
    def of(cls, model: Any) -> Identity:
        """That of a transformers model.

        :raises UnsupportedModel: See :func:`layers_of`.
        """
        embedding, output = layers_of(model)
        vocab_size, hidden_size = output.weight.shape
        model_type = str(getattr(model.config, "model_type", "unknown"))
        return cls(hidden_size, vocab_size, model_type, _hash(embedding.weight), _hash(output.weight))

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return asdict(self)

    def check(self, model: Any, part: str, command: str) -> None:
        """Refuse a model that is another one.

        :param part: What was made, and where it is, for the message. :param command: What makes such things.
        :raises IncompatibleParts: It is another one; says in what it differs.
        """
        given, wanted = Identity.of(model).to_dict(), self.to_dict()
        differing = [name for name in wanted if given[name] != wanted[name]]
        if not differing:
            return
        hashed = {"embedding": "the weights of the embedding", "output": "the weights of the output layer"}
        facts = [hashed.get(name) or f"{name} ({wanted[name]}, here {given[name]})" for name in differing]
        raise IncompatibleParts(
            part,
            type(model).__name__,
            because=f"it was made for a model with other {' and '.join(facts)}",
            instead=f"Run `{command}` for this model, or load the model that it was made for",
        )


def layers_of(model: Any) -> tuple[Any, Any]:
    """The embedding and the output layer of a causal language model.

    :raises UnsupportedModel: It has none whose weights can be read: ``[vocab, width]`` floating point.
    """
    layers = model.get_input_embeddings(), model.get_output_embeddings()
    for layer, name in zip(layers, ("embedding", "output layer"), strict=True):
        weight = getattr(layer, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2 or not weight.is_floating_point():
            because = f"what is made for one model must know the rows of its {name}, and it has none that can be read"
            raise UnsupportedModel(type(model).__name__, because=because)
    return layers


def fingerprint(model: Any) -> str:
    """SHA-256 of the names, the shapes and a few numbers of all weights, the numbers rounded to bfloat16."""
    found = hashlib.sha256()
    taken: dict[torch.device, list[Tensor]] = {}  # a GPU is waited for once
    for name, weight in model.named_parameters():
        found.update(f"{name} {list(weight.shape)}".encode())
        numbers = weight.detach().flatten()
        taken.setdefault(weight.device, []).append(numbers[:: max(1, len(numbers) // _ROWS)].to(torch.bfloat16))
    for some in taken.values():
        found.update(torch.cat(some).view(torch.int16).cpu().numpy().tobytes())
    return found.hexdigest()


def _hash(weight: Tensor) -> str:
    rows = torch.linspace(0, len(weight) - 1, _ROWS).long().to(weight.device)
    bits = weight.detach()[rows].to(torch.bfloat16).view(torch.int16)
    return hashlib.sha256(bits.cpu().numpy().tobytes()).hexdigest()
