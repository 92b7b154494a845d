"""``decodeplug new NAME``: write a plugin of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from decodeplug.cli.output import Json, say_json

__all__ = ["new"]


def new(
    name: Annotated[str, typer.Argument(help="The part's name: lower-case words joined by dashes, such as min-p.")],
    kind: Annotated[str, typer.Option(help="The kind of part to start from.")] = "processor",
    directory: Annotated[Path, typer.Option(help="The folder that decodeplug-NAME is written into.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a working, tested, installable plugin package, to be made one's own."""
    from decodeplug.scaffold import new as write

    made = write(name, directory, kind)
    if as_json:
        facts = {"distribution": made.distribution, "module": made.module, "kind": made.kind, "part": made.part}
        say_json({"path": str(made.path), **facts, "next_steps": list(made.next_steps)})
        return
    typer.echo(f"Wrote {made.path}, a package that offers the {made.kind} {made.part!r}. Next:")
    for line in made.next_steps:
        typer.echo(f"    {line}")
