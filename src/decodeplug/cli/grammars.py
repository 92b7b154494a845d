"""``decodeplug grammars``: which grammars can be named."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from decodeplug.cli.output import Json, say_json, say_table

if TYPE_CHECKING:
    from decodeplug.registry import Offer

__all__ = ["grammars"]


def grammars(as_json: Json = False) -> None:
    """List the grammars that lark(NAME) knows: those of the library, and those of plugins."""
    from decodeplug.discovery import Plugins, PluginWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # `decodeplug plugins` lists failures
        found = Plugins.load(None)
    listed = [_grammar(offer) for offer in found.registry.offers() if offer.kind == "grammar"]
    if as_json:
        say_json({"grammars": listed})
        return
    say_table("Grammars", ["name", "what it is", "offered by"], [tuple(one.values()) for one in listed])


def _grammar(offer: Offer) -> dict[str, str]:
    """Name, first comment line and distribution of a grammar; one that cannot be read says why instead."""
    from decodeplug.errors import DecodeplugError
    from decodeplug.grammar_library import summary_of

    try:
        summary = summary_of(str(offer.factory())) or offer.summary
    except DecodeplugError as error:
        summary = str(error)
    except Exception as error:  # a plugin's factory may raise anything
        summary = f"{type(error).__name__}: {error}"
    return {"name": offer.name.replace("-", "_"), "summary": summary, "distribution": offer.distribution}
