"""``decodeplug new``: a package that works at once, or nothing at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from decodeplug import scaffold
from decodeplug.errors import BadOption, UnknownPart

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", ".*_cache")
TEMPLATE = ROOT / "plugins" / "decodeplug-template"


def texts(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in folder.rglob("*") if file.is_file()
    }


def test_the_template_in_plugins_is_the_one_that_is_copied() -> None:
    assert TEMPLATE.resolve() == (ROOT / "src" / "decodeplug" / "templates" / "processor").resolve()


@pytest.mark.parametrize("name", ["mirostat", "fresh-words", "x2"])
def test_a_new_package_has_its_own_names_and_none_of_the_templates(tmp_path: Path, name: str) -> None:
    made = scaffold.new(name, tmp_path)
    module = f"decodeplug_{name.replace('-', '_')}"
    assert (made.path, made.distribution, made.module) == (
        tmp_path / f"decodeplug-{name}",
        f"decodeplug-{name}",
        module,
    )
    files = texts(made.path)
    assert {
        "pyproject.toml",
        "README.md",
        f"src/{module}/__init__.py",
        f"src/{module}/processor.py",
        f"src/{module}/py.typed",
    } < set(files)
    for place, text in files.items():
        assert not re.search("template", place + text, re.IGNORECASE), place
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == f"decodeplug-{name}"
    assert project["entry-points"]["decodeplug"] == {name: module}


def test_a_new_package_is_as_well_kept_as_the_template(tmp_path: Path) -> None:
    made = scaffold.new("fresh-words", tmp_path)
    for place, text in texts(made.path).items():
        if place.endswith(".py"):
            compile(text, place, "exec")
        assert text == "" or text.endswith("\n"), place


def test_what_builds_and_test_runs_leave_behind_is_not_copied(tmp_path: Path) -> None:
    made = scaffold.new("fresh-words", tmp_path)
    assert not [place for place in texts(made.path) if re.search(r"__pycache__|egg-info|\.pytest_cache|build/", place)]
    assert [entry.name for entry in tmp_path.iterdir()] == [made.path.name]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("", "lower-case words"),
        ("Fresh", "lower-case words"),
        ("fresh_words", "lower-case words"),
        ("../fresh", "lower-case words"),
        ("x" * 41, "at most 40 characters"),
        ("top-p", "there is a built-in processor of that name"),
        ("stage", "its class Stage would hide one that is in use"),
        ("none", "its class None would hide one that is in use"),
        ("template", "its class Template would hide one that is in use"),
    ],
)
def test_a_name_that_cannot_work_is_refused_and_nothing_is_written(tmp_path: Path, name: str, wanted: str) -> None:
    with pytest.raises(BadOption, match=wanted):
        scaffold.new(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_as_it_is(tmp_path: Path) -> None:
    scaffold.new("mirostat", tmp_path)
    before = texts(tmp_path)
    with pytest.raises(BadOption, match="exists already"):
        scaffold.new("mirostat", tmp_path)
    assert texts(tmp_path) == before


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="a folder that exists"):
        scaffold.new("mirostat", tmp_path / "nowhere")


def test_a_kind_without_template_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(UnknownPart, match=r"no template 'procesor'\. Did you mean 'processor'"):
        scaffold.new("mirostat", tmp_path, kind="procesor")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def write_until_full(self: Path, data: str, encoding: str | None = None) -> int:
        if len(texts(tmp_path)) == 3:
            raise OSError(errno.ENOSPC, "no space left")
        return write(self, data, encoding)

    monkeypatch.setattr(Path, "write_text", write_until_full)
    with pytest.raises(OSError, match="no space left"):
        scaffold.new("mirostat", tmp_path)
    assert list(tmp_path.iterdir()) == []


def run(*command: str | Path, folder: Path, site: Path | None = None) -> str:
    """Run a command and return what it printed; ``site`` is a folder of installed packages to be found first."""
    environment = {**os.environ, "PYTHONPATH": str(site or ""), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(package: Path, site: Path) -> None:
    """Build a package and install it into a folder of its own, without a network."""
    pip = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--no-compile",
    )
    run(*pip, "--target", site, package, folder=package)


@pytest.mark.slow
def test_a_new_package_installs_passes_its_tests_and_is_found(tmp_path: Path) -> None:
    made = scaffold.new("fresh-words", tmp_path)
    site = tmp_path / "site"
    install(made.path, site)
    run("-m", "pytest", "-p", "no:cacheprovider", folder=made.path, site=site)
    listed = run("-m", "decodeplug", "plugins", "--json", folder=tmp_path, site=site)
    assert '"distribution": "decodeplug-fresh-words"' in listed
    assert '"summary": "Make the tokens of the last few positions less likely."' in listed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decodeplug-echo", "decodeplug-template"])
def test_every_plugin_of_ours_installs_and_passes_its_tests(tmp_path: Path, name: str) -> None:
    package, site = tmp_path / name, tmp_path / "site"
    shutil.copytree((ROOT / "plugins" / name).resolve(), package, ignore=LEFT_BEHIND)
    install(package, site)
    run("-m", "pytest", "-p", "no:cacheprovider", folder=package, site=site)


@pytest.mark.slow
def test_the_wheel_brings_every_module_and_the_templates_along(tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "src", source / "src", ignore=LEFT_BEHIND)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "README.md").touch()
    install(source, site)
    ours, shipped = (texts(folder / "decodeplug") for folder in (source / "src", site))
    assert {place for place in ours if place.endswith(".py") or "templates/" in place} <= set(shipped)
    code = "import decodeplug, sys; from decodeplug import scaffold; print(decodeplug.__file__); print(scaffold.new('fresh-words', sys.argv[1]).path)"
    printed = run("-c", code, tmp_path, folder=tmp_path, site=site).split()
    assert Path(printed[0]).is_relative_to(site)
    (tmp_path / "again").mkdir()
    assert texts(Path(printed[1])) == texts(scaffold.new("fresh-words", tmp_path / "again").path)
