"""``decodeplug plugins``: who is installed and what they offer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decodeplug.cli.output import Json, say_json, say_table

if TYPE_CHECKING:
    from decodeplug.discovery import Plugins
    from decodeplug.registry import Offer

__all__ = ["plugins"]


def plugins(
    select: Annotated[
        list[str] | None,
        typer.Option(
            help="Load only this plugin beside the built-in parts (-NAME: all but this one); may be repeated."
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="List only parts of this kind, such as processor.")] = None,
    as_json: Json = False,
) -> None:
    """List the installed plugins and the parts they offer."""
    from decodeplug.discovery import Plugins, PluginWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # failures are listed below
        found = Plugins.load(select[0] if select and len(select) == 1 else select or None)
    names = None if kind is None else set(found.registry.names(kind))
    parts = [_part(offer) for offer in found.registry.offers() if names is None or offer.kind == kind]
    if as_json:
        say_json({"plugins": _loaded(found), "failures": _failures(found), "parts": parts})
        return
    loaded = [(one["distribution"], one["version"], one["module"]) for one in _loaded(found)]
    say_table("Plugins", ["distribution", "version", "module"], loaded)
    say_table("Left out", ["distribution", "why"], [(one["distribution"], one["error"]) for one in _failures(found)])
    for of_kind in dict.fromkeys(one["kind"] for one in parts):
        rows = [_row(one) for one in parts if one["kind"] == of_kind]
        say_table(f"Parts: {of_kind}", ["name", "options", "what it does", "offered by"], rows)


def _loaded(found: Plugins) -> list[dict[str, str]]:
    return [
        {"name": one.name, "distribution": one.distribution, "version": one.version, "module": one.module}
        for one in found.loaded
    ]


def _failures(found: Plugins) -> list[dict[str, str]]:
    return [{"distribution": distribution, "error": str(error)} for distribution, error in found.failures]


def _part(offer: Offer) -> dict[str, Any]:
    """What is known of a part; one that cannot be imported has an ``error`` instead of its summary."""
    from decodeplug.errors import PluginError

    facts = {"kind": offer.kind, "name": offer.name, "distribution": offer.distribution, "version": offer.version}
    try:
        known = {"summary": offer.summary, "options": offer.options, "approximates": offer.approximates}
        return {**facts, **known, "error": ""}
    except PluginError as error:
        return {**facts, "summary": "", "options": {}, "approximates": False, "error": str(error)}


def _row(part: dict[str, Any]) -> tuple[str, str, str, str]:
    options = ", ".join(f"{name}={default}" if default else name for name, default in part["options"].items())
    return part["name"], options, part["summary"] or part["error"], part["distribution"]
