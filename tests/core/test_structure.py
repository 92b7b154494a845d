"""The house keeps its shape: file sizes, the loop, and which way imports go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "decodeplug"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "templates" not in path.parts)
PARTS = ("processors", "constraints", "drafters", "selectors", "strategies", "caches", "inspectors")
INNER = ("loop", "batch", "run", "runner", "host", "target", "stream", "fit", "choose")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.removeprefix("decodeplug.") for name in names if name.startswith("decodeplug.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_is_over_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_loop_fits_one_screen_and_names_no_part() -> None:
    path = SOURCE / "loop.py"
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert not {name for name in imported(path) if name.split(".")[0] in PARTS}
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert not names & {"Match", "Lookup", "Forced", "Chain", "Dense", "Greedy", "Sample"}
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.If)]


@pytest.mark.parametrize("kind", PARTS)
def test_parts_import_neither_the_loop_nor_each_other(kind: str) -> None:
    for path in (SOURCE / kind).rglob("*.py"):
        for name in imported(path):
            first = name.split(".")[0]
            assert first not in INNER, f"{path.name} imports {name}"
            assert first == kind or first not in PARTS, f"{path.name} imports {name}"


@pytest.mark.parametrize("name", ["values", "errors"])
def test_values_and_errors_import_nothing_of_ours(name: str) -> None:
    assert imported(SOURCE / f"{name}.py") == set()


def test_contracts_import_values_and_errors_only() -> None:
    assert imported(SOURCE / "contracts.py") <= {"values", "errors"}


def test_the_loop_imports_no_host() -> None:
    for module in ("loop", "batch", "choose", "score", "rules", "walk", "lane", "noise"):
        assert not {"host", "runner", "fit", "run", "stream"} & {
            n.split(".")[0] for n in imported(SOURCE / f"{module}.py")
        }


def test_the_front_door_and_all_agree() -> None:
    import decodeplug

    for name in decodeplug.__all__:
        assert getattr(decodeplug, name) is not None
    assert set(decodeplug.__all__) <= set(dir(decodeplug))
