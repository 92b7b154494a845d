"""A smaller model that drafts, named on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from decodeplug.host import Host

__all__ = ["Assistant", "drafting_with"]

Assistant = Annotated[str | None, typer.Option(help="A smaller model that drafts: hub id or local folder.")]


@contextmanager
def drafting_with(name: str | None) -> Iterator[Host | None]:
    """A host around it, with its own tokenizer; None where none is named."""
    from decodeplug.host import Host

    if name is None:
        yield None
        return
    with Host.from_pretrained(name, plugins=[]) as host:
        yield host
