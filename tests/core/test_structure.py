"""The house keeps its shape: file sizes, the loop, and which way imports go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "decodeplug"
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "templates" not in path.parts)
PARTS = ("processors", "constraints", "drafters", "selectors", "strategies", "caches", "inspectors")
INNER = ("loop", "batch", "run", "runner", "host", "target", "stream", "fit", "choose", "__init__")


FRONT_DOOR = "__init__"
"""How the package itself is named among what a module imports: through it everything is reached."""


def names_in(text: str, package: str) -> set[str]:
    """Modules of ours that a source imports, named from the root; what it gets from the root itself is the front door.

    :param package: The dotted name of the package that the source is in, for its relative imports.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*outer, *([node.module] if node.module else [])])
            inside = [f"{source}.{alias.name}" for alias in node.names if _is_module(f"{source}.{alias.name}")]
            names.update(inside)
            if len(inside) < len(node.names):
                names.add(source)
    ours = {name for name in names if name.split(".")[0] == "decodeplug"}
    return {name.removeprefix("decodeplug.") if name != "decodeplug" else FRONT_DOOR for name in ours}


def _is_module(name: str) -> bool:
    path = SOURCE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(path: Path) -> set[str]:
    package = ".".join(path.relative_to(SOURCE.parent).parent.parts)
    return names_in(path.read_text(encoding="utf-8"), package)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import decodeplug.loop", {"loop"}),
        ("import torch, decodeplug", {FRONT_DOOR}),
        ("from decodeplug.target.lanes import LaneSession", {"target.lanes"}),
        ("from decodeplug.target import lanes", {"target.lanes"}),
        ("from decodeplug import loop, values", {"loop", "values"}),
        ("from decodeplug import Host, loop", {FRONT_DOOR, "loop"}),
        ("from . import dense", {"caches.dense"}),
        ("from .dense import Dense", {"caches.dense"}),
        ("from .. import loop, Host", {"loop", FRONT_DOOR}),
        ("from ..target.lanes import LaneSession", {"target.lanes"}),
        ("def late():\n    from ..loop import run", {"loop"}),
        ("import decodeplugin; from torch import nn", set()),
    ],
)
def test_an_import_is_seen_however_it_is_written(text: str, names: set[str]) -> None:
    assert names_in(text, "decodeplug.caches") == names


@pytest.mark.parametrize(
    "path",
    [*MODULES, *sorted(Path(__file__).parents[1].rglob("*.py"))],
    ids=lambda path: str(path.relative_to(SOURCE if path.is_relative_to(SOURCE) else Path(__file__).parents[2])),
)
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


def test_contracts_import_values_only() -> None:
    assert imported(SOURCE / "contracts.py") <= {"values", "selecting", "session", "errors"}
    assert imported(SOURCE / "selecting.py") <= {"values"}
    assert imported(SOURCE / "session.py") <= {"taps"}


def test_the_loop_imports_no_host() -> None:
    for module in ("loop", "batch", "choose", "score", "rules", "walk", "lane", "noise"):
        assert not {"host", "runner", "fit", "run", "stream", FRONT_DOOR} & {
            n.split(".")[0] for n in imported(SOURCE / f"{module}.py")
        }


def waits(text: str) -> list[str]:
    """Calls that make the host wait for a GPU: tensors of Python numbers that are made on it, or copied and awaited."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        given = {keyword.arg for keyword in node.keywords}
        made = ast.unparse(node.func) in ("torch.tensor", "torch.as_tensor") and "device" in given
        source = ast.unparse(node.func.value)
        copied = node.func.attr == "to" and source.startswith(
            ("torch.tensor(", "torch.as_tensor(", "torch.from_numpy(")
        )
        to_device = any("device" in ast.unparse(argument) for argument in node.args)
        if made or (copied and to_device and "non_blocking" not in given):
            found.append(ast.unparse(node))
    return found


TURN = [
    path
    for path in MODULES
    if path.relative_to(SOURCE).parts[0] in (*PARTS, "target")
    or path.stem in ("noise", "score", "choose", "walk", "rowfacts", "batch", "loop", "wrapped_processors")
]


@pytest.mark.parametrize("path", TURN, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_turn_waits_for_the_device_to_take_a_list_of_numbers(path: Path) -> None:
    assert waits(path.read_text(encoding="utf-8")) == []


def test_a_hidden_wait_is_found_and_an_unawaited_copy_is_none() -> None:
    assert waits("torch.tensor(rows, device=device)\ntorch.from_numpy(ids).to(scores.device)") == [
        "torch.tensor(rows, device=device)",
        "torch.from_numpy(ids).to(scores.device)",
    ]
    assert waits("torch.tensor(rows).to(device, non_blocking=True)\ntorch.from_numpy(ids).to(scores.dtype)") == []


def test_the_front_door_and_all_agree() -> None:
    import decodeplug

    for name in decodeplug.__all__:
        assert getattr(decodeplug, name) is not None
    assert set(decodeplug.__all__) <= set(dir(decodeplug))
