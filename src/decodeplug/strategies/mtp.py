"""Several tokens for one forward: heads on the model's own hidden states draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["MultiTokenPrediction"]


@dataclass(frozen=True, slots=True)
class MultiTokenPrediction:
    """Greedy decoding or sampling, with prediction heads as drafters.

    :param heads: The folder that ``decodeplug train-heads`` wrote. Without it, the request names its heads itself:
        ``drafters=["heads=FOLDER"]``.
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
