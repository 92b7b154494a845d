"""The command line: ``decodeplug COMMAND``. One module for each command.

Commands import what they need when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from decodeplug.cli.cache import cache
from decodeplug.cli.demo import demo
from decodeplug.cli.doctor import doctor
from decodeplug.cli.generate import generate
from decodeplug.cli.grammars import grammars
from decodeplug.cli.moe import moe
from decodeplug.cli.new import new
from decodeplug.cli.output import complain
from decodeplug.cli.plugins import plugins
from decodeplug.cli.schema import schema
from decodeplug.cli.train_heads import train_heads
from decodeplug.cli.verify_lossless import verify_lossless
from decodeplug.errors import DecodeplugError

__all__ = ["app", "main"]

app = typer.Typer(
    name="decodeplug",
    help="Decoding middleware for Hugging Face models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback of ours is to be read as it is
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo)
app.command("generate")(generate)
app.command("plugins")(plugins)
app.command("grammars")(grammars)
app.command("doctor")(doctor)
app.command("new")(new)
app.command("train-heads")(train_heads)
app.command("verify-lossless")(verify_lossless)
app.add_typer(schema, name="schema")
app.add_typer(cache, name="cache")
app.add_typer(moe, name="moe")


@app.callback()
def decodeplug() -> None:
    """Decoding middleware for Hugging Face models."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process.

    :param arguments: What was typed after ``decodeplug``; None reads it from the process.
    :raises SystemExit: Always: 0 if the command succeeded, 2 if what was typed is wrong
        (with one line on stderr), and as the command says else.
    """
    try:
        app(args=None if arguments is None else list(arguments))
    except DecodeplugError as error:
        complain(error)
        raise SystemExit(2) from None
