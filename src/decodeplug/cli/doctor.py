"""``decodeplug doctor``: what is installed, what fits, and what to do about what does not."""

from __future__ import annotations

from typing import Annotated

import typer

from decodeplug.cli.output import Json, say_json, say_table

__all__ = ["doctor"]


def doctor(
    model: Annotated[str | None, typer.Option(help="Load this model too, and say how it would be decoded.")] = None,
    as_json: Json = False,
) -> None:
    """Look at this installation: versions, plugins, parts, and what fits with what."""
    from decodeplug.checkup import doctor as look
    from decodeplug.host import Host

    report = look(None if model is None else Host.from_pretrained(model))
    if as_json:
        say_json(report.to_dict())
        return
    say_table("Versions", ["library", "version"], report.versions.items())
    say_table("Plugins", ["distribution", "version"], report.plugins.items())
    say_table("Left out", ["distribution", "why"], report.failures.items())
    say_table("Parts", ["kind", "names"], [(kind, ", ".join(names)) for kind, names in report.parts.items()])
    say_table("What fits", ["part", "with", ""], report.fits)
    say_table("Model", ["", ""], [(name, str(value)) for name, value in report.model.items()])
    say_table("Advice", [""], [(line,) for line in report.advice])
