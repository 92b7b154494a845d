"""``decodeplug demo``: the embedded model writes a teddy bear as JSON, token by token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decodeplug.cli.output import Json, say_json

if TYPE_CHECKING:
    from rich.console import Console

    from decodeplug.host import Host
    from decodeplug.result import Result

__all__ = ["BEAR", "PROMPT", "demo"]

PROMPT = "Invent a teddy bear: its first name, last name, age, hobby and two or three favourite books. Answer in JSON."

_NAME = {"type": "string", "pattern": "^[A-Z][a-z]{1,14}$"}
BEAR: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "TeddyBear",
    "type": "object",
    "properties": {
        "first_name": _NAME,
        "last_name": _NAME,
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "hobby": {"type": "string", "minLength": 3, "maxLength": 60},
        "favourite_books": {
            "type": "array",
            "items": {"type": "string", "minLength": 3, "maxLength": 50},
            "minItems": 2,
            "maxItems": 3,
        },
    },
    "required": ["first_name", "last_name", "age", "hobby", "favourite_books"],
    "additionalProperties": False,
}

_STYLES = {"forced": "bold green", "lookup": "bold cyan", "model": "default"}
_BUDGET = 200


def demo(
    seed: Annotated[int | None, typer.Option(help="Sample with this seed; without one the likeliest bear.")] = None,
    compare: Annotated[bool, typer.Option(help="Run plain generate() on the same prompt as well.")] = True,
    as_json: Json = False,
) -> None:
    """Watch SmolLM2-135M-Instruct write a teddy bear as JSON that validates."""
    from rich.console import Console

    from decodeplug.host import Host

    console = Console(highlight=False, quiet=as_json)
    with Host.from_pretrained("smollm2") as host:
        options: dict[str, Any] = {"constraint": BEAR, "max_new_tokens": _BUDGET}
        if seed is not None:
            options |= {"processors": ["temperature=0.7"], "seed": seed}
        console.print(f"[dim]{PROMPT}[/dim]\n")
        result, seconds = _write(host, console, options)
        plain = _plain(host) if compare else None
        if as_json:
            say_json(_facts(result, seconds, plain))
            return
        _totals(console, result, seconds, plain)


def _write(host: Host, console: Console, options: dict[str, Any]) -> tuple[Result, float]:
    """Write the text as it comes; one colour for each source of a token."""
    from rich.text import Text

    console.print(
        Text.assemble("model ", ("forced by the schema ", "bold green"), ("copied from before", "bold cyan"), "\n")
    )
    began = time.perf_counter()
    stream = host.stream([{"role": "user", "content": PROMPT}], **options)
    ids: list[int] = []
    shown = ""
    for chunk in stream:
        for token, source in zip(chunk.token_ids, chunk.sources, strict=True):
            ids.append(token)
            text = host.tokenizer.decode(ids, skip_special_tokens=True)
            console.print(Text(text[len(shown) :], style=_STYLES.get(source, "bold magenta")), end="")
            shown = text
    console.print("\n")
    return stream.result, time.perf_counter() - began


def _plain(host: Host) -> tuple[str, int, float]:
    """What plain ``generate()`` says to the same prompt: text, tokens, seconds."""
    import torch

    inputs = host.tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    began = time.perf_counter()
    with torch.inference_mode():
        ids = host.model.generate(**inputs, max_new_tokens=_BUDGET, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    seconds = time.perf_counter() - began
    return host.tokenizer.decode(ids, skip_special_tokens=True), len(ids), seconds


def _valid(text: str) -> bool:
    import json

    from jsonschema import Draft202012Validator

    try:
        return Draft202012Validator(BEAR).is_valid(json.loads(text))
    except json.JSONDecodeError:
        return False


def _totals(console: Console, result: Result, seconds: float, plain: tuple[str, int, float] | None) -> None:
    from rich.table import Table

    table = Table("", "valid JSON", "tokens", "forwards", "forwards/token", "seconds", "ms/token")
    trace = result.trace
    rows: list[tuple[str, str, int, int, float]] = [("decodeplug", result.text, trace.tokens, trace.forwards, seconds)]
    if plain is not None:
        rows.append(("plain generate()", plain[0], plain[1], plain[1], plain[2]))
    for name, text, tokens, forwards, took in rows:
        valid = "yes" if _valid(text) else "no"
        figures = (str(tokens), str(forwards), f"{forwards / tokens:.2f}", f"{took:.1f}", f"{1000 * took / tokens:.0f}")
        table.add_row(name, valid, *figures)
    console.print(table)
    for source, accepted in trace.acceptance.items():
        console.print(f"{source}: {accepted.kept} of {accepted.drafted} drafted tokens kept")
    if plain is not None:
        console.print("\n[dim]plain generate() wrote:[/dim]")
        console.print(plain[0][:400], style="dim", markup=False)


def _facts(result: Result, seconds: float, plain: tuple[str, int, float] | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "text": result.text,
        "value": result.value,
        "valid": _valid(result.text),
        "seconds": seconds,
        "trace": result.trace.to_dict(),
    }
    if plain is not None:
        facts["plain"] = {"text": plain[0], "valid": _valid(plain[0]), "tokens": plain[1], "seconds": plain[2]}
    return facts
