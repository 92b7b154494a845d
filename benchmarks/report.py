"""What the benchmarks say at the end: tables for a terminal or for markdown, verdicts, a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

__all__ = ["Verdict", "add_output_options", "describe_machine", "judge", "machine", "show_line", "show_table"]
__all__ += ["show_verdicts", "thresholds", "write_json"]

_CONSOLE = Console()
_PACKAGES = ("decodeplug", "torch", "transformers", "xgrammar", "outlines", "outlines_core", "llguidance")


@dataclass(frozen=True)
class Verdict:
    """One figure beside the threshold that it must reach; ``figure`` is None if it was not measured."""

    claim: str
    figure: float | None
    threshold: float
    at_least: bool

    @property
    def holds(self) -> bool:
        if self.figure is None:
            return False
        return self.figure >= self.threshold if self.at_least else self.figure <= self.threshold


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """How the figures are shown, and where they are kept."""
    parser.add_argument("--markdown", action="store_true", help="tables in markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")


def thresholds(section: str) -> dict[str, float]:
    """``[section]`` of thresholds.toml."""
    return tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text())[section]


def judge(section: str, figures: dict[str, float | None]) -> list[Verdict]:
    """The figures against ``[section]`` of thresholds.toml; each threshold there must be given a figure."""
    wanted = thresholds(section)
    if wanted.keys() != figures.keys():
        raise ValueError(f"[{section}] wants {sorted(wanted)}, but got figures for {sorted(figures)}")
    return [Verdict(f"{section}.{name}", figures[name], wanted[name], name.endswith("_at_least")) for name in wanted]


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        **versions,
    }


def describe_machine() -> str:
    """:func:`machine` in one line."""
    return ", ".join(f"{name} {value}" for name, value in machine().items())


def show_line(text: str = "") -> None:
    """One line of prose, as it is."""
    _CONSOLE.print(text, markup=False, highlight=False, soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> None:
    """A table on the terminal, or in markdown. The first column is text, the others are figures."""
    if markdown:
        show_line(f"\n**{title}**\n")
        show_line("| " + " | ".join(columns) + " |")
        show_line("|---|" + "---:|" * (len(columns) - 1))
        for row in rows:
            show_line("| " + " | ".join(row) + " |")
        return
    # As wide as it needs: a table that is read from a file must not lose columns.
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = _CONSOLE if _CONSOLE.is_terminal else Console(width=220)
    console.print(table, markup=False)


def show_verdicts(verdicts: Sequence[Verdict], markdown: bool = False) -> None:
    """Each figure beside its threshold."""
    rows = [
        [
            verdict.claim,
            "not measured" if verdict.figure is None else f"{verdict.figure:.3f}",
            f"{'>=' if verdict.at_least else '<='} {verdict.threshold}",
            "-" if verdict.figure is None else "holds" if verdict.holds else "FAILS",
        ]
        for verdict in verdicts
    ]
    show_table("Thresholds (benchmarks/thresholds.toml)", ["claim", "measured", "wanted", ""], rows, markdown)


def write_json(path: Path, verdicts: Sequence[Verdict], **facts: Any) -> None:
    """Everything measured, the machine and the verdicts, as one JSON file."""
    judged = [{**asdict(verdict), "holds": verdict.holds} for verdict in verdicts]
    path.write_text(json.dumps({"machine": machine(), "verdicts": judged, **facts}, indent=2) + "\n")
