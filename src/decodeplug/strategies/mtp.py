"""Several tokens for one forward: what reads the model's own hidden states drafts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from decodeplug.native_modules import count_of

__all__ = ["MultiTokenPrediction"]


@dataclass(frozen=True, slots=True)
class MultiTokenPrediction:
    """Greedy decoding or sampling, with prediction heads or the model's own modules as drafters.

    :param heads: The folder that ``decodeplug train-heads`` wrote. Without it, the request names its heads itself:
        ``drafters=["heads=FOLDER"]``; if it names none, the model's own multi-token prediction modules draft.
    Source: Gloeckle et al. 2024, arXiv:2404.19737; Medusa, arXiv:2401.10774; DeepSeek-V3, arXiv:2412.19437, section 2.2.
    """

    heads: str = ""
    name: ClassVar[str] = "mtp"
    samples: ClassVar[bool | None] = None
    selector: ClassVar[str] = "match"

    @property
    def drafters(self) -> Sequence[str | Mapping[str, str]]:
        """The heads; without a folder they are asked for."""
        return ({"name": "heads", "path": self.heads},) if self.heads else ("heads",)

    def drafters_for(self, model: Any, named: Iterable[str]) -> Sequence[str | Mapping[str, str]]:
        """The heads, or the modules of a model that has some; nothing where the request names one of the two.

        :param model: Not modified. :param named: Names of the drafters of the request.
        """
        if not self.heads and not {"heads", "mtp"}.isdisjoint(named):
            return ()
        return ("mtp",) if not self.heads and count_of(model) else self.drafters
