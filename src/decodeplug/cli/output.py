"""How commands speak: tables for people, one JSON object for programs, one line for errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Json", "complain", "progress_bars", "say_json", "say_table"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
"""The option that every command has."""


def say_json(value: Any) -> None:
    """Print one object that programs can read."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; nothing if it would have no rows."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    if table.row_count:
        Console().print(table)


def progress_bars() -> Progress:
    """Bars on standard error for what takes long; to be opened as a context."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def complain(error: Exception) -> None:
    """Print an error as one line on standard error."""
    sys.stderr.write(f"decodeplug: {' '.join(str(error).split())}\n")
