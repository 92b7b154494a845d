"""``decodeplug train-heads``: train prediction heads for a model that stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decodeplug.cli.output import Json, progress_bars, say_json
from decodeplug.cli.texts import WRITING, interrupted, texts_of
from decodeplug.errors import BadOption

if TYPE_CHECKING:
    from decodeplug.heads import Card, Settings
    from decodeplug.heads.training import Training

__all__ = ["train_heads"]

_MINUTES = 20.0


def train_heads(
    out: Annotated[Path, typer.Option(help="The folder that the heads are written into.")],
    model: Annotated[str, typer.Option(help="Hub id, local folder, or smollm2, the embedded default.")] = "smollm2",
    text: Annotated[list[Path] | None, typer.Option(help="A text file to learn from; repeat the option.")] = None,
    self_generated: Annotated[
        int | None, typer.Option(help="Learn from so many tokens that the model writes itself.", min=1)
    ] = None,
    kind: Annotated[str, typer.Option(help="independent or recurrent.")] = "recurrent",
    heads: Annotated[int, typer.Option(help="How many tokens are foreseen.")] = 3,
    vocab: Annotated[int, typer.Option(help="How many tokens can be drafted: the commonest of the text.")] = 8192,
    steps: Annotated[int | None, typer.Option(help="Steps at most.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of training at most. [default: 20, if --steps is not given]")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows of text in a step.")] = 2,
    width: Annotated[int, typer.Option(help="Tokens of a row at most.")] = 256,
    objective: Annotated[
        str, typer.Option(help="What is learned: the model's distribution, or its argmax.")
    ] = "distribution",
    seed: Annotated[
        int, typer.Option(help="Of the weights, the order of the text, and the text that the model writes.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the checkpoint in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Train heads that foresee what a model will say next; Ctrl-C leaves a checkpoint to go on with."""
    if bool(text) == (self_generated is not None):
        raise BadOption("train-heads", wanted="either --text or --self-generated")
    import torch

    from decodeplug.heads import Settings
    from decodeplug.heads.training import runs_in_bfloat16
    from decodeplug.host import Host

    settings = Settings(
        kind=kind,
        heads=heads,
        vocab=vocab,
        steps=steps,
        minutes=_MINUTES if steps is None and minutes is None else minutes,
        batch=batch,
        width=width,
        objective=objective,
        seed=seed,
    )
    options: dict[str, Any] = {"dtype": torch.bfloat16} if runs_in_bfloat16(out if resume else None) else {}
    with Host.from_pretrained(model, plugins=[], max_batch=WRITING, **options) as host:
        card = _train(host, text or [], self_generated or 0, out, settings, resume)
    if as_json:
        say_json(card.to_dict())
    else:
        _show(card, out)
    if not card.is_finished:
        raise typer.Exit(130)  # as a shell says of a command that Ctrl-C ended


def _train(host: Any, files: list[Path], self_generated: int, out: Path, settings: Settings, resume: bool) -> Card:
    from decodeplug.heads import train_heads as train

    with progress_bars() as progress:
        texts, source = texts_of(host, files, self_generated, out, settings.seed, progress)
        task = progress.add_task("training", total=1.0)

        def tell(training: Training) -> None:
            said = f"training: step {training.step:,}, loss {training.loss:.3f}"
            progress.update(task, completed=training.done, description=said)

        with interrupted() as stop:
            return train(host, texts, out, settings, source=source, resume=resume, tell=tell, stop=stop)


def _show(card: Card, out: Path) -> None:
    from decodeplug.cli.output import say_table

    rows = [
        (str(number), f"{head.share:.3f}", f"{head.chained:.3f}")
        for number, head in enumerate(card.acceptance, start=1)
    ]
    say_table(f"{card.kind} heads, on text that was held out", ["head", "share", "chained"], rows)
    rest = "" if card.is_finished else " It was stopped before its time; --resume goes on with it."
    typer.echo(f"{out}: {card.steps:,} steps, {card.minutes:.1f} minutes, loss {card.loss:.3f}.{rest}")
