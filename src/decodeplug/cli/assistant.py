"""A smaller model that drafts, named on the command line."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from decodeplug.host import Host

__all__ = ["Assistant", "drafting_with"]

Assistant = Annotated[str | None, typer.Option(help="A smaller model that drafts: hub id or local folder.")]


def drafting_with(name: str | None) -> AbstractContextManager[Host | None]:
    """A host around it, with its own tokenizer; None where none is named."""
    from decodeplug.host import Host

    return nullcontext() if name is None else Host.from_pretrained(name, plugins=[])
