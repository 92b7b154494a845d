"""``decodeplug cache``: calibrate caches that approximate, and see what each cache costs and changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from decodeplug.cli.output import Json, progress_bars, say_json, say_table
from decodeplug.cli.texts import WRITING, interrupted, texts_of
from decodeplug.errors import BadOption

__all__ = ["cache", "calibrate", "report", "share_heads"]

cache = typer.Typer(help="Calibrate caches, and see what each costs and changes.", no_args_is_help=True)

_TOKENS = 32_000
_SHORT = re.compile(r"([a-z][a-z-]*):([0-9.]+)(?:bit)?")
_NAMES = {"quant": "quantised"}

Model = Annotated[str, typer.Option(help="Hub id, local folder, or smollm2, the embedded default.")]


@cache.callback()
def about() -> None:
    """Calibrate caches, and see what each costs and changes."""


@cache.command("calibrate")
def calibrate(
    out: Annotated[Path, typer.Option(help="The folder that the calibration is written into.")],
    model: Model = "smollm2",
    text: Annotated[
        list[Path] | None,
        typer.Option(help="A text file to learn from; repeat the option. [default: what the model writes itself]"),
    ] = None,
    self_generated: Annotated[
        int, typer.Option(help="Without --text: how many tokens the model writes.", min=1)
    ] = _TOKENS,
    weights_only: Annotated[
        bool,
        typer.Option(
            "--weights-only", help="Read ids that are drawn at random, and no text: sooner done, and coarser."
        ),
    ] = False,
    bits: Annotated[float, typer.Option(help="Of a number of keys and values, on the average.")] = 3.0,
    documents: Annotated[int, typer.Option(help="Documents of 1,280 ids that are read at most.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Of what the model writes, and of what is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Learn how the older keys and values of a model are best written in few bits, for cache 'latent'.

    Ctrl-C keeps what was learned so far.
    """
    from decodeplug.calibration import calibrate as learn
    from decodeplug.calibration import check
    from decodeplug.host import Host

    if weights_only and text:
        raise BadOption("cache calibrate", weights_only=True, text=str(text[0]), wanted="one of the two")
    with (
        Host.from_pretrained(model, plugins=[], max_batch=WRITING) as host,
        progress_bars() as progress,
    ):
        check(host, bits)
        _folder(out, "cache calibrate")
        texts, source = None, "none: ids that were drawn at random"
        if not weights_only:
            rows, source = texts_of(host, text or [], self_generated, out, seed, progress, "cache calibrate")
            texts = [row.ids for row in rows]
        task = progress.add_task("reading", total=1.0)
        with interrupted() as stop:
            found = learn(
                host,
                texts,
                bits=bits,
                source=source,
                most=documents,
                seed=seed,
                tell=lambda share: progress.update(task, completed=share),
                stop=stop,
            )
            was_stopped = stop()
    found.save(out)
    turned = sum(layer.rotation is not None for layer in found.layers)
    facts = {
        "out": str(out),
        "bits": found.bits,
        "ids": found.ids,
        "layers": len(found.layers),
        "rotations_measured": turned,
        "text": found.text,
    }
    if as_json:
        say_json(facts)
    else:
        typer.echo(
            f"{out}: {found.ids:,} ids read, {len(found.layers)} layers, of which {turned} have a rotation that was measured. Use it: --cache latent=calibration={out}"
        )
    if was_stopped:
        raise typer.Exit(130)  # as a shell says of a command that Ctrl-C ended


@cache.command("share-heads")
def share_heads(
    groups: Annotated[
        int, typer.Option(help="Key and value heads that are left: a divisor of what there is; 1: one for all.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder that the model is written into.")],
    model: Model = "smollm2",
    method: Annotated[
        str, typer.Option(help="fit: queries and outputs make up for what differs; mean: the mean of the weights.")
    ] = "fit",
    text: Annotated[
        list[Path] | None, typer.Option(help="A document to compare both models by; repeat the option.")
    ] = None,
    length: Annotated[int, typer.Option(help="Ids of a document that are read at most.", min=16)] = 1024,
    as_json: Json = False,
) -> None:
    """Make a model's key and value heads fewer, and write it as a model of its own. Nothing is trained.

    Multi-head attention becomes grouped-query or multi-query attention: fewer bytes, and a coarser model.
    """
    from decodeplug.calibration import share_heads as share
    from decodeplug.fidelity import difference
    from decodeplug.heads import read_files
    from decodeplug.host import Host
    from decodeplug.target import Target

    if out.exists() and any(out.iterdir()):
        raise BadOption("cache share-heads", out=str(out), wanted="a folder that is empty, or not there yet")
    with Host.from_pretrained(model, plugins=[]) as host:
        made = share(host.target, groups, method)
        facts: dict[str, Any] = {
            "out": str(out), "groups": groups, "heads": made.heads, "kept_keys": made.kept[0], "kept_values": made.kept[1],
        }  # fmt: skip
        if text:
            room = min(length, host.context_window or length)
            documents = [list(row.ids[:room]) for row in read_files(text, host.tokenizer, "cache share-heads")]
            facts |= difference(host.target, Target(made.model), documents)._asdict()
        made.model.save_pretrained(out)
        host.tokenizer.save_pretrained(out)
    if as_json:
        say_json(facts)
        return
    typer.echo(
        f"{out}: {groups} of {made.heads} key and value heads, {groups / made.heads:.0%} of the bytes; "
        f"they explain {made.kept[0]:.1%} of the weights of keys and {made.kept[1]:.1%} of those of values."
    )
    if text:
        typer.echo(
            f"KL {facts['kl']:.4f} nats, same likeliest id {facts['top1']:.1%}, perplexity {facts['perplexity']:.2f} "
            f"({facts['perplexity_ratio']:.2f} times that of the model as it was)."
        )


@cache.command("report")
def report(
    text: Annotated[list[Path], typer.Option(help="A document to judge by; repeat the option.")],
    model: Model = "smollm2",
    caches: Annotated[
        str, typer.Option(help="Names, and bits behind a colon: dense,paged,latent:3bit,quant:4.")
    ] = "dense,paged,quant:8,quant:4,quant:2",
    cache: Annotated[
        list[str] | None, typer.Option(help="One with options, such as quantised=bits=4,group=32; repeat the option.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="A folder of cache calibrate, for latent.")] = None,
    length: Annotated[int, typer.Option(help="Ids of a document that are read at most.", min=16)] = 2048,
    behind: Annotated[int, typer.Option(help="Ids at its beginning that are not judged.", min=0)] = 256,
    out: Annotated[Path | None, typer.Option(help="A folder for report.json, report.md and report.svg.")] = None,
    as_json: Json = False,
) -> None:
    """Feed documents to a model with several caches, and say for each what it takes and how much it changes."""
    from decodeplug.fidelity import markdown, measure, summary, svg
    from decodeplug.files import write_text
    from decodeplug.heads import read_files
    from decodeplug.host import Host

    wanted = [*named(caches, calibration), *(cache or ())]
    if out is not None:
        _folder(out, "cache report")
    with (
        Host.from_pretrained(model) as host,
        progress_bars() as progress,
    ):
        room = length if host.context_window is None else min(length, host.context_window - 32)
        documents = [list(row.ids[:room]) for row in read_files(text, host.tokenizer, "cache report")]
        task = progress.add_task("reading", total=1.0)
        found = measure(
            host, wanted, documents, behind=behind, tell=lambda share: progress.update(task, completed=share)
        )
    if out is not None:
        write_text(out / "report.json", json.dumps(found.to_dict(), indent=2) + "\n")
        write_text(out / "report.md", markdown(found))
        write_text(out / "report.svg", svg(found))
    if as_json:
        say_json(found.to_dict())
    else:
        say_table(f"{found.model}, {found.ids:,} ids judged (~ approximates)", *summary(found))


def _folder(path: Path, command: str) -> None:
    """Make a folder before long work is done for it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOption(command, out=str(path), wanted=f"a folder that can be written: {error}") from error


def named(line: str, calibration: Path | None) -> list[dict[str, Any] | str]:
    """The caches of a line such as ``dense,latent:3bit``.

    :raises BadOption: There is a latent one, and no calibration; or there are bits that are no number.
    """
    found: list[dict[str, Any] | str] = []
    for part in filter(None, map(str.strip, line.split(","))):
        if "=" in part:
            raise BadOption("cache report", caches=part, wanted="names; a cache with options goes to --cache")
        short = _SHORT.fullmatch(part)
        name = _NAMES.get(short[1] if short else part, short[1] if short else part)
        options: dict[str, Any] = {}
        if short:
            options["bits"] = _number(short[2], part)
        if name == "latent":
            if calibration is None:
                raise BadOption("cache report", caches=part, wanted="--calibration, a folder of cache calibrate")
            options["calibration"] = str(calibration)
        found.append({"name": name, **options} if options else name)
    return found


def _number(text: str, part: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        raise BadOption("cache report", caches=part, wanted="a number of bits behind the colon") from None
    return int(value) if value.is_integer() else value
