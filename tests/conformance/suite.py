"""The JSON Schema Test Suite: where it is, and what is in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema_specifications
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT202012, specification_with

from decodeplug.embedded import cache_folder

__all__ = ["DRAFTS", "PARTS", "VARIABLE", "Case", "Group", "groups", "located", "registry"]

VARIABLE = "DECODEPLUG_JSON_SCHEMA_SUITE"
DRAFTS = {"2020-12": "draft2020-12", "7": "draft7"}
"""Our name of a draft -> the suite's folder."""
PARTS = {"required": "*.json", "format": "optional/format/*.json", "optional": "optional/*.json"}
_SPECIFICATIONS = {"2020-12": DRAFT202012, "7": DRAFT7}
_BASE = "http://localhost:1234/"  # where the suite's references say that its remotes are


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is no integer, as the suite writes it: ``1.0`` and ``1e0`` are different texts."""

    digits: str


@dataclass(frozen=True, slots=True)
class Case:
    """One instance. :ivar value: Parsed, with :class:`Number` for what is no plain integer."""

    description: str
    value: Any
    valid: bool


@dataclass(frozen=True, slots=True)
class Group:
    """One schema and its instances. :ivar keyword: The suite's file, without its ending."""

    draft: str
    part: str
    keyword: str
    description: str
    schema: Any
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        return f"{self.draft}/{self.part}/{self.keyword}: {self.description}"

    @property
    def formats(self) -> str:
        """Whether formats are asserted: as the part wants it."""
        asserted = self.part == "format" or self.keyword == "format-assertion"
        return "assert" if asserted else "annotate"


def located(given: str | Path | None = None) -> Path:
    """The suite's folder: the one that has ``draft2020-12`` in it, or a checkout of the whole repository.

    :param given: A path; else the environment variable, else the source distribution of the installed
        jsonschema, which pip downloads into our cache folder, once.
    :raises FileNotFoundError: There is no suite at the path given, or pip could not get it.
    """
    chosen = given or os.environ.get(VARIABLE)
    root = Path(chosen) if chosen else _from_the_source_distribution(version("jsonschema"))
    for folder in (root, root / "tests"):
        if (folder / DRAFTS["2020-12"]).is_dir():
            return folder
    raise FileNotFoundError(f"{root} is no JSON Schema Test Suite: it has no folder {DRAFTS['2020-12']}")


def _from_the_source_distribution(release: str) -> Path:
    kept = cache_folder() / f"json-schema-test-suite-jsonschema-{release}"
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        wanted = ["--no-binary", "jsonschema", "--no-deps", f"jsonschema=={release}", "--dest", folder]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", *wanted], capture_output=True, text=True
        )
        archives = list(Path(folder).glob("jsonschema-*.tar.gz"))
        if done.returncode or not archives:
            problem = done.stderr.strip().splitlines()[-1:] or ["no archive came"]
            raise FileNotFoundError(
                f"pip could not get the source distribution of jsonschema {release}: {problem[0]}. "
                f"Set {VARIABLE} to a folder with the JSON Schema Test Suite."
            )
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
        with contextlib.suppress(OSError):  # another process was faster
            (Path(folder) / f"jsonschema-{release}" / "json").rename(kept)
    return kept


def groups(suite: Path, draft: str, part: str) -> Iterator[Group]:
    """Every schema of one part of a draft, file by file."""
    for path in sorted((suite / DRAFTS[draft]).glob(PARTS[part])):
        text = path.read_text(encoding="utf-8")
        exact = json.loads(text, parse_float=Number)
        for plain, written in zip(json.loads(text), exact, strict=True):
            cases = tuple(Case(case["description"], case["data"], case["valid"]) for case in written["tests"])
            yield Group(draft, part, path.stem, plain["description"], plain["schema"], cases)


def registry(suite: Path, draft: str) -> Registry[Any]:
    """The documents that the suite's references lead to, beside the metaschemas."""
    folder = next(place for place in (suite / "remotes", suite.parent / "remotes") if place.is_dir())
    resources = []
    for path in sorted(folder.rglob("*.json")):
        contents = json.loads(path.read_text(encoding="utf-8"))
        named = contents.get("$schema") if isinstance(contents, dict) else None
        default = _SPECIFICATIONS[draft]
        specification = specification_with(named, default=default) if isinstance(named, str) else default
        resources.append((_BASE + path.relative_to(folder).as_posix(), Resource(contents, specification)))
    return jsonschema_specifications.REGISTRY.with_resources(resources)
