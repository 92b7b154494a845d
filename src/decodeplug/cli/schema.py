"""``decodeplug schema check``: what becomes of each keyword of a JSON schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from decodeplug.cli.output import Json, say_json, say_table

__all__ = ["check", "schema"]

schema = typer.Typer(help="Ask what becomes of a JSON schema.", no_args_is_help=True)


@schema.callback()
def ask() -> None:
    """Ask what becomes of a JSON schema."""


@schema.command("check")
def check(
    file: Annotated[str, typer.Argument(help="A .json file with a JSON schema.", metavar="FILE")],
    formats: Annotated[str, typer.Option(help='"assert": formats are enforced; "annotate": none is.')] = "assert",
    draft: Annotated[str | None, typer.Option(help="2020-12, 2019-09, 7, 6 or 4. [default: what $schema says]")] = None,
    registry: Annotated[
        list[str] | None, typer.Option(help="URI=FILE: a document that the schema may refer to; repeat it.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Another mask engine, of a plugin.")] = "llguidance",
    as_json: Json = False,
) -> None:
    """Say for each keyword how it is enforced, or that the schema is refused, where and why (exit code 2)."""
    from decodeplug.constraints.schema_source import schema_of

    documents = dict(map(_document, registry or ()))
    given, _ = schema_of(file if file.endswith(".json") else f"{file}.json")
    rows = _explainer(engine)(given, formats=formats, draft=draft, registry=documents or None)
    listed = [{"pointer": row.pointer, "keyword": row.keyword, "how": row.how, "because": row.because} for row in rows]
    is_refused = any(row["how"] == "refused" for row in listed)
    if as_json:
        say_json({"engine": engine, "refused": is_refused, "keywords": listed})
    else:
        say_table("Keywords", ["where", "keyword", "how", "because"], [tuple(row.values()) for row in listed])
    if is_refused:
        raise typer.Exit(2)


def _document(given: str) -> tuple[str, Any]:
    from decodeplug.constraints.schema_source import schema_of
    from decodeplug.errors import BadOption

    uri, equals, path = given.rpartition("=")
    if not equals or not uri:
        raise BadOption("schema check", registry=given, wanted="URI=FILE")
    return uri, schema_of(path if path.endswith(".json") else f"{path}.json")[0]


def _explainer(engine: str) -> Callable[..., Any]:
    """What explains a schema for an engine: ours, or the ``explain`` of the factory of a plugin's JSON schema constraint.

    It is called as ``schema_report.explain`` is, and its rows have the same attributes.

    :raises UnknownPart: No plugin has one.
    """
    from decodeplug.constraints.schema_report import explain
    from decodeplug.discovery import Plugins
    from decodeplug.errors import UnknownPart

    if engine == "llguidance":
        return explain
    offers = [offer for offer in Plugins.load(None).registry.offers() if offer.kind == "constraint"]
    known: dict[str, Callable[..., Any]] = {}
    for offer in offers:
        explains = getattr(offer.factory, "explain", None)
        if explains is not None:
            known[offer.name.removesuffix("-json-schema")] = explains
    if engine not in known:
        raise UnknownPart("mask engine", engine, [*known, "llguidance"])
    return known[engine]
