"""Heads and what they need of their model: made, saved, and loaded for that model only."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decodeplug.errors import BadOption
from decodeplug.files import read_tensors, write_tensors
from decodeplug.heads.cut import CutVocabulary, OutputLayer
from decodeplug.heads.halves import multiplies_faster_in_bfloat16
from decodeplug.heads.independent import IndependentHeads
from decodeplug.heads.recurrent import RecurrentHead
from decodeplug.identity import Identity, layers_of
from decodeplug.target.products import Products

__all__ = ["FILE", "KINDS", "WRITTEN", "Heads", "loaded"]

FILE = "heads.safetensors"
WRITTEN = ("heads", "decodeplug train-heads")
"""What the files are of, and what writes them, for messages."""
KINDS = ("independent", "recurrent")
_FORMAT = 1  # raise it when what is written below changes


@dataclass(frozen=True, eq=False)
class Heads:
    """Trained heads beside the model that they foresee.

    :ivar part: The learned part, trained in float32, on the model's device. :ivar output: Its output layer, frozen.
    :ivar embedding: The model's own embedding. :ivar identity: Which model that is.
    :ivar count: How many tokens are foreseen. Independent heads can foresee no more; the recurrent one was trained
        to foresee so many.
    """

    part: IndependentHeads | RecurrentHead
    output: OutputLayer
    embedding: Any
    identity: Identity
    count: int

    @classmethod
    def new(cls, model: Any, kind: str, count: int, ids: Tensor, *, scale: float = 1.0) -> Heads:
        """Heads that have learned nothing.

        :param kind: One of ``KINDS``. :param ids: ``[kept]`` int64: the tokens that can be drafted.
        :param scale: Root mean square of the model's hidden states.
        :raises BadOption: There is no such kind, or no token is foreseen.
        :raises UnsupportedModel: The layers of the model cannot be read.
        """
        if kind not in KINDS:
            raise BadOption("heads", kind=kind, wanted=f"one of {', '.join(KINDS)}")
        if count < 1:
            raise BadOption("heads", heads=count, wanted="at least 1")
        embedding, output = layers_of(model)
        vocab_size, hidden = output.weight.shape
        width = embedding.weight.shape[1]
        part = IndependentHeads(hidden, count) if kind == "independent" else RecurrentHead(hidden, width, scale)
        device = output.weight.device
        kept = OutputLayer(model, CutVocabulary(ids.to(device), vocab_size))
        return cls(part.to(device), kept, embedding, Identity.of(model), count)

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return self.part.kind

    @property
    def vocabulary(self) -> CutVocabulary:
        """The tokens that can be drafted."""
        return self.output.vocabulary

    @cached_property
    def layers(self) -> nn.ModuleList:
        """All that multiplies."""
        return nn.ModuleList([self.part, self.output])

    @cached_property
    def products(self) -> Products:
        """How the layers multiply a few rows."""
        return Products(self.layers)

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings of ids of any shape, as the model sees them: on the device of the heads, and in their dtype."""
        rows = self.output.rows
        return self.embedding(ids.to(self.embedding.weight.device)).to(rows.device, rows.dtype)

    def foresee(self, hidden: Tensor, ids: Tensor, *, thin: bool = False) -> list[Tensor]:
        """What foresees each token, along whole texts: for training and measuring.

        :param hidden: ``[rows, positions, hidden]``. :param ids: ``[rows, positions]`` int64.
        :param thin: Tokens further ahead may be foreseen in fewer of the rows, the first ones, where they cost much.
        :returns: ``count`` tensors ``[rows, positions, hidden]``: at ``p``, for the output layer, what foresees the token
            at ``p + 2``, ``p + 3`` ... It means nothing where the row ends before that.
        """
        if isinstance(self.part, IndependentHeads):
            return list(self.part(hidden).unbind(-2))
        return self.part.foresee(hidden, self.embed(ids), self.count, thin=thin)

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write them as ``heads.safetensors``: weights and ids; the rows of the output layer stay with the model.

        :param facts: Further plain facts for the header of the file.
        """
        own = {"format": _FORMAT, "kind": self.kind, "heads": self.count, "identity": self.identity.to_dict()}
        write_tensors(folder / FILE, {**self.part.state_dict(), "ids": self.vocabulary.ids}, {**facts, **own})

    @classmethod
    def load(cls, folder: str | Path, model: Any) -> Heads:
        """Heads from a folder, for the model that they were trained for.

        :param model: A transformers causal language model; not changed.
        :raises BadOption: The folder has no heads, or of another version of decodeplug.
        :raises IncompatibleParts: They were trained for another model.
        """
        folder = Path(folder).expanduser()
        tensors, facts = read_tensors(folder / FILE, *WRITTEN)
        if facts.get("format") != _FORMAT:
            raise BadOption("heads", path=str(folder), wanted="heads that this version of decodeplug trained")
        Identity(**facts["identity"]).check(model, f"the heads in {folder}", WRITTEN[1])
        heads = cls.new(model, facts["kind"], facts["heads"], tensors.pop("ids"))
        heads.part.load_state_dict(tensors)
        heads.part.requires_grad_(False)
        return heads


def _in_the_faster_dtype(heads: Heads) -> Heads:
    """The same in bfloat16, on a CPU that multiplies one row with these weights faster so."""
    device = heads.output.rows.device
    if device.type != "cpu" or not multiplies_faster_in_bfloat16(device):
        return heads
    part, output = (copy.deepcopy(layer).to(torch.bfloat16) for layer in (heads.part, heads.output))
    halved = replace(heads, part=part, output=output)
    single, half = (one.products.seconds() for one in (heads, halved))  # nothing, where they are small
    return halved if single and half and half[1] < single[1] else heads


_MOST_LOADED = 4  # sets of heads of one model that are kept; the oldest is given up
_LOADED: weakref.WeakKeyDictionary[Any, dict[tuple[str, int], Heads]] = weakref.WeakKeyDictionary()


def loaded(folder: str | Path, model: Any) -> Heads:
    """As :meth:`Heads.load`, read once for each model and state of the file, to draft with: on a CPU that multiplies
    one row with their weights faster in bfloat16 they are in it.

    :raises BadOption, IncompatibleParts: As there.
    """
    file = (Path(folder).expanduser() / FILE).absolute()
    written = file.stat().st_mtime_ns if file.is_file() else 0
    known = _LOADED.setdefault(model, {})
    heads = known.get((str(file), written))
    if heads is None:
        heads = _in_the_faster_dtype(Heads.load(folder, model))
        for old in list(known)[: max(0, len(known) + 1 - _MOST_LOADED)]:
            known.pop(old, None)
        known[str(file), written] = heads
    return heads
