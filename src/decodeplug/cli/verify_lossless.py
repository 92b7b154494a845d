"""``decodeplug verify-lossless``: is the law of a recipe's texts that of plain sampling?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from decodeplug.cli.assistant import Assistant, drafting_with
from decodeplug.cli.output import Json, say_json, say_table

if TYPE_CHECKING:
    from decodeplug.testing.lossless import Finding, Verdict
    from decodeplug.testing.lossless.plain import Tell

__all__ = ["verify_lossless"]


def verify_lossless(
    recipe: Annotated[Path, typer.Option(help="The .toml or .json file with the options that are to be judged.")],
    model: Annotated[str, typer.Option(help="Hub id, local folder, or smollm2, the embedded default.")] = "smollm2",
    prompt: Annotated[
        list[str] | None, typer.Option(help="A text to complete as it stands; repeat the option.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another recipe, whose law is the right one; without it the recipe's own.")
    ] = None,
    assistant: Assistant = None,
    samples: Annotated[int, typer.Option(help="Texts to draw with the recipe, and as many without.")] = 400,
    tokens: Annotated[
        int | None, typer.Option(help="New tokens of a text at most; what the recipe says, else 16.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Probability with which a right recipe may fail.")] = 0.001,
    bound: Annotated[float, typer.Option(help="Distance of the laws that must have been found for a pass.")] = 0.1,
    seed: Annotated[int, typer.Option(help="The first of the seeds.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare a recipe with plain sampling, and say pass (exit code 0), fail (1) or not enough samples (2)."""
    from decodeplug.host import Host
    from decodeplug.recipe import Recipe
    from decodeplug.testing.lossless import verify_lossless as verify
    from decodeplug.testing.lossless.meter import PROMPTS

    judged = Recipe.load(recipe)  # what is wrong with the files is said before a model is loaded
    law = None if against is None else Recipe.load(against)
    with Host.from_pretrained(model) as host, drafting_with(assistant) as smaller, _progress() as tell:
        verdict = verify(
            host,
            {**judged.options, "assistant": smaller},
            prompt or PROMPTS,
            against=law,
            samples=samples,
            tokens=tokens,
            alpha=alpha,
            bound=bound,
            seed=seed,
            tell=tell,
        )
    if as_json:
        say_json(verdict.to_dict())
    else:
        _say(verdict)
    raise typer.Exit(verdict.exit_code)


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on standard error for what is going on."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None)
        yield lambda what, done, of: bars.update(bar, description=what, completed=done, total=of)


def _say(verdict: Verdict) -> None:
    say_table("Compared", ["what", "outcome", "finds a distance of"], map(_row, verdict.findings))
    for note in verdict.notes:
        typer.echo(f"Note: {note}.")
    share = f"{verdict.kept} of {verdict.drafted} drafted tokens were kept"
    typer.echo(f"{verdict.samples} texts of at most {verdict.tokens} tokens; {share}.")
    typer.echo(f"{verdict}.")


def _row(finding: Finding) -> tuple[str, str, str]:
    smallest = "" if finding.smallest_tv is None else f"{finding.smallest_tv:.3f}"
    return finding.name, ("DIFFERS: " if finding.failed else "") + finding.says, smallest
