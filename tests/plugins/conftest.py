"""Distributions as pip leaves them on disk, for tests of finding and loading plugins."""

from __future__ import annotations

import importlib
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., None]


ECHO = Path(__file__).parents[2] / "plugins" / "decodeplug-echo" / "src"


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The echo plugin's module, from its folder in ``plugins/``."""
    monkeypatch.syspath_prepend(ECHO)
    return importlib.import_module("decodeplug_echo")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("decodeplug-x", source)``: a distribution with one module and its entry point, importable in this test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def install(distribution: str, source: str, version: str = "1.0") -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
        )
        entry = distribution.removeprefix("decodeplug-")
        (info / "entry_points.txt").write_text(f"[decodeplug]\n{entry} = {module}\n", encoding="utf-8")

    yield install
    for module in set(sys.modules) - before:
        if Path(getattr(sys.modules[module], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[module]
