"""What came of a training: facts for programs, and a page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from decodeplug.files import write_text
from decodeplug.heads.learning import Acceptance
from decodeplug.identity import Identity

__all__ = ["Card"]


@dataclass(frozen=True, slots=True)
class Card:
    """How good the heads in a folder are, and what they were trained on.

    :ivar kind, objective: As in the settings. :ivar identity: Of the model.
    :ivar acceptance: Of each head, on rows that were not learned from.
    :ivar covered: Share of the ids of those rows that can be drafted at all. :ivar vocab: How many ids those are.
    :ivar text_tokens: Ids of the text that was learned from. :ivar text: Where it comes from.
    :ivar tokens: Ids read, over all rounds. :ivar steps, minutes: Of the training itself. :ivar loss: Its running mean.
    :ivar parameters: Learned numbers. :ivar is_finished: False if it was stopped before its time.
    """

    kind: str
    objective: str
    model: str
    identity: Identity
    acceptance: Sequence[Acceptance]
    covered: float
    vocab: int
    text: str
    text_tokens: int
    tokens: int
    steps: int
    minutes: float
    loss: float
    parameters: int
    is_finished: bool

    @property
    def tokens_per_forward(self) -> float:
        """What a draft of all heads would give for each forward, where the text is greedy."""
        return 1 + sum(head.chained for head in self.acceptance)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "tokens_per_forward": self.tokens_per_forward}

    def write(self, folder: Path) -> None:
        """Write ``card.json`` and ``README.md``."""
        write_text(folder / "card.json", json.dumps(self.to_dict(), indent=2) + "\n")
        write_text(folder / "README.md", self.page())

    def page(self) -> str:
        """The card in words."""
        rows = "\n".join(
            f"| {number} | {head.share:.3f} | {head.chained:.3f} | {head.positions:,} |"
            for number, head in enumerate(self.acceptance, start=1)
        )
        stopped = "" if self.is_finished else " The training was stopped before its time; `--resume` goes on with it."
        return f"""# Prediction heads for {self.model}

{len(self.acceptance)} {self.kind} heads for decodeplug, {self.parameters:,} learned numbers. They draft; the model decides, so
they change the speed of a text and never the text.

| head | share | chained | tokens guessed |
|---|---|---|---|
{rows}

Share: of the model's own greedy tokens, on text that was not learned from. Head 1 foresees the token after the next one.
Chained: the same where all heads before it must be right too. A draft of all heads would give
{self.tokens_per_forward:.2f} tokens for each forward.

- Text: {self.text}; {self.text_tokens:,} tokens that were learned from; every sixteenth row was held out.
- Training: {self.steps:,} steps, {self.tokens:,} tokens read, {self.minutes:.1f} minutes, objective "{self.objective}", loss {self.loss:.3f}.{stopped}
- They can draft {self.vocab:,} of {self.identity.vocab_size:,} ids, which cover {self.covered:.1%} of the held-out text.
- Model: `{self.identity.model_type}`, hidden size {self.identity.hidden_size}. They refuse every other one.

    host.generate(prompt, drafters=["heads=path/to/this/folder"])
"""
