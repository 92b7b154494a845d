"""A calibration on disk: what transform coding knows of one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from decodeplug.caches.transform.components import Basis
from decodeplug.caches.transform.rotary import Rotation
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.files import read_tensors, write_tensors
from decodeplug.identity import Identity, fingerprint

__all__ = ["COMMAND", "FILE", "Calibration"]

FILE = "calibration.safetensors"
COMMAND = "decodeplug cache calibrate"
_FORMAT = 2  # raise it when what is written below changes
_TENSORS = ("mean", "encode", "decode", "steps", "bends", "losses")


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """Of all layers with keys and values of a model.

    :ivar layers: For each, in the order of the model. :ivar identity: Of the model. :ivar weights: See :func:`fingerprint`.
    :ivar bits: That were asked for when it was made, for a number, on the average. :ivar ids: How many were read.
    :ivar text: Where they came from.
    """

    layers: Sequence[Basis]
    identity: Identity
    weights: str
    bits: float
    ids: int
    text: str

    def check(self, model: Any, where: str) -> None:
        """Refuse a model that is another one, also one of which only some weights were changed.

        :param where: The folder, for the message.
        :raises IncompatibleParts: It is another one.
        """
        part = f"the calibration in {where}"
        self.identity.check(model, part, COMMAND)
        if fingerprint(model) != self.weights:
            raise IncompatibleParts(
                part,
                type(model).__name__,
                because="it was made for a model with other weights or layers",
                instead=f"Run `{COMMAND}` for this model, or load the model that it was made for",
            )

    def save(self, folder: Path) -> None:
        """Write ``calibration.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        shapes: list[dict[str, Any]] = []
        for number, layer in enumerate(self.layers):
            tensors |= {f"{number}.{name}": getattr(layer, name) for name in _TENSORS}
            shape: dict[str, Any] = {"heads": layer.heads, "key_dim": layer.key_dim, "value_dim": layer.value_dim}
            if layer.rotation is not None:
                tensors[f"{number}.angles"] = layer.rotation.angles.clone()  # layers may share them
                shape["rotation"] = layer.rotation.kind
            shapes.append(shape)
        facts = {
            "format": _FORMAT,
            "identity": self.identity.to_dict(),
            "weights": self.weights,
            "bits": self.bits,
            "ids": self.ids,
            "text": self.text,
            "layers": shapes,
        }
        write_tensors(folder / FILE, tensors, facts)

    @classmethod
    def load(cls, folder: str | Path) -> Calibration:
        """Read what :meth:`save` wrote.

        :raises BadOption: There is none, or it is of another version of decodeplug.
        """
        folder = Path(folder).expanduser()
        tensors, facts = read_tensors(folder / FILE, "cache 'latent'", COMMAND)
        if facts.get("format") != _FORMAT:
            raise BadOption(
                "cache 'latent'", calibration=str(folder), wanted="one that this version of decodeplug made"
            )
        layers: list[Basis] = []
        for number, shape in enumerate(facts["layers"]):
            kind = shape.pop("rotation", None)
            found: dict[str, Any] = {name: tensors[f"{number}.{name}"] for name in _TENSORS}
            rotation = None if kind is None else Rotation(kind, tensors[f"{number}.angles"])
            layers.append(Basis(**shape, **found, rotation=rotation))
        return cls(layers, Identity(**facts["identity"]), facts["weights"], facts["bits"], facts["ids"], facts["text"])
