"""``decodeplug moe``: look at the routing of mixture-of-experts models, and change it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decodeplug.cli.output import Json, say_json, say_table
from decodeplug.errors import BadOption

if TYPE_CHECKING:
    from rich.text import Text

    from decodeplug.host import Host
    from decodeplug.routing import Routing

__all__ = ["moe", "report", "show", "what_if"]

moe = typer.Typer(help="See, measure and change the routing of mixture-of-experts models.", no_args_is_help=True)

Model = Annotated[str, typer.Option(help="Hub id, or local folder.")]
Prompt = Annotated[str | None, typer.Option(help="A prompt; what the model writes behind it is looked at, too.")]
TextFile = Annotated[Path | None, typer.Option(help="A text file that is looked at as it is.")]
NewTokens = Annotated[int, typer.Option(help="With --prompt: new tokens at most.", min=1)]
Changes = Annotated[list[str] | None, typer.Option(help="An intervention, such as moe-top-k=1; repeat the option.")]


@moe.callback()
def about() -> None:
    """See, measure and change the routing of mixture-of-experts models."""


@moe.command("report")
def report(
    model: Model,
    out: Annotated[Path, typer.Option(help="The page that is written.")],
    prompt: Prompt = None,
    text: TextFile = None,
    max_new_tokens: NewTokens = 64,
    intervention: Changes = None,
    tensors: Annotated[Path | None, typer.Option(help="Write the routing itself as safetensors, too.")] = None,
    as_json: Json = False,
) -> None:
    """Write one static page: a text coloured by expert, loads, balance, alarms and specialisation."""
    from decodeplug.files import write_text
    from decodeplug.host import Host
    from decodeplug.routing.pages import page, token_texts

    asked = _asked(prompt, text, max_new_tokens)
    with Host.from_pretrained(model, plugins=[]) as host:
        routing = _routing(host, *asked, intervention)
        texts = token_texts(host.vocabulary, routing.token_ids.tolist())
    write_text(out, page(routing, texts, title=f"Routing of {Path(model).name}"))
    if tensors is not None:
        routing.to_safetensors(tensors)
    facts = {**_facts(routing), "out": str(out), "bytes": out.stat().st_size}
    if as_json:
        say_json(facts)
    else:
        typer.echo(f"{out}: {facts['tokens']} tokens, {len(routing.layers)} layers, {facts['bytes'] / 1e6:.2f} MB")


@moe.command("show")
def show(
    model: Model,
    prompt: Prompt = None,
    text: TextFile = None,
    max_new_tokens: NewTokens = 64,
    layer: Annotated[int, typer.Option(help="The place of the layer whose experts colour the text.", min=0)] = 0,
    intervention: Changes = None,
    as_json: Json = False,
) -> None:
    """Show a text coloured by expert, and how evenly experts are used, in the terminal."""
    from decodeplug.host import Host
    from decodeplug.routing.pages import token_texts

    asked = _asked(prompt, text, max_new_tokens)
    with Host.from_pretrained(model, plugins=[]) as host:
        routing = _routing(host, *asked, intervention)
        texts = token_texts(host.vocabulary, routing.token_ids.tolist())
    if layer >= len(routing.layers):
        raise BadOption("moe show", layer=layer, wanted=f"a place from 0 to {len(routing.layers) - 1}")
    if as_json:
        say_json(_facts(routing))
        return
    from rich.console import Console

    Console().print(_coloured(routing, texts, layer))
    _say_balance(routing)


@moe.command("what-if")
def what_if(
    model: Model,
    intervention: Annotated[list[str], typer.Option(help="An intervention, such as moe-top-k=1; repeat the option.")],
    prompt: Prompt = None,
    text: TextFile = None,
    max_new_tokens: NewTokens = 64,
    as_json: Json = False,
) -> None:
    """Change the routing, and say what becomes of perplexity, experts and text."""
    from decodeplug.host import Host
    from decodeplug.routing.compared import compare

    given, count = _asked(prompt, text, max_new_tokens)
    with Host.from_pretrained(model, plugins=[]) as host:
        found = compare(host, given, intervention, max_new_tokens=count)
    if as_json:
        say_json(found.to_dict())
        return
    rows = [
        ("perplexity of the text", f"{found.perplexity:.4f}", f"{found.changed_perplexity:.4f}"),
        ("choices of experts that stay", "100.0 %", f"{found.same_experts:.1%}"),
    ]
    say_table("what if", ["", "as it is", " and ".join(intervention)], rows)
    if prompt is not None:
        typer.echo(f"as it is: {found.text}\n\nchanged: {found.changed_text}")


def _asked(prompt: str | None, text: Path | None, max_new_tokens: int) -> tuple[str, int]:
    """What the model is given, and how many tokens it shall write behind it."""
    if (prompt is None) == (text is None):
        raise BadOption("moe", wanted="either --prompt or --text")
    if prompt is not None:
        return prompt, max_new_tokens
    assert text is not None
    try:
        return text.read_text(encoding="utf-8"), 1  # which no forward sees
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption("moe", text=str(text), wanted=f"a text file in UTF-8: {error}") from error


def _routing(host: Host, given: str, count: int, interventions: list[str] | None) -> Routing:
    result = host.generate(
        given, max_new_tokens=count, inspectors=["moe-routing"], interventions=interventions or [], strategy="greedy"
    )
    return result.reports["moe-routing"]


def _facts(routing: Routing) -> dict[str, Any]:
    from decodeplug.routing import balance, collapse

    return {
        "tokens": len(routing.token_ids),
        "prompt_length": routing.prompt_length,
        "layers": list(routing.layers),
        "experts": list(routing.counts),
        "k": routing.experts.shape[-1],
        "load": routing.load.tolist(),
        "balance": {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in balance(routing).to_dict().items()
        },
        "alarms": [str(alarm) for alarm in collapse(routing)],
    }


def _coloured(routing: Routing, texts: list[str], layer: int) -> Text:
    import colorsys

    from rich.text import Text

    said = Text()
    for token, text in enumerate(texts):
        expert = int(routing.experts[token, layer, 0])
        red, green, blue = (int(255 * one) for one in colorsys.hls_to_rgb(expert * 0.381966 % 1, 0.75, 0.6))
        style = "" if expert < 0 else f"black on rgb({red},{green},{blue})"
        said.append(text, style=f"{style} italic" if token < routing.prompt_length else style)
    return said


def _say_balance(routing: Routing) -> None:
    from decodeplug.routing import balance, collapse

    seen, blocks = balance(routing), " ▁▂▃▄▅▆▇█"
    rows = []
    for place, (index, count) in enumerate(zip(routing.layers, routing.counts, strict=True)):
        load = routing.load[place, :count].tolist()
        most = max(1, *load)
        bars = "".join(blocks[math.ceil(8 * number / most)] for number in load)
        values = (seen.entropy[place], seen.peak[place])
        rows.append((str(index), bars, *(f"{float(value):.2f}" for value in values), str(int(seen.dead[place]))))
    say_table("load by layer", ["layer", "experts", "entropy", "max / mean", "dead"], rows)
    for alarm in collapse(routing):
        typer.echo(f"alarm: {alarm}")
