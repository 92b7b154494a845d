"""Write a new plugin: a copy of a template under its own names. Behind ``decodeplug new``.

A template is a whole plugin that works and is tested as it stands; it lives in
``decodeplug/templates/KIND`` and calls itself ``template`` wherever the new
name has to stand.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from decodeplug.discovery import Plugins
from decodeplug.errors import BadOption, UnknownPart

__all__ = ["Scaffold", "kinds", "new"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_OWN_NAMES = re.compile(r"decodeplug[-_]template|test_template|\b[Tt]emplate\b")
_BY_PRODUCTS = re.compile(r"__pycache__|build|dist|\..*|.*\.egg-info")


@dataclass(frozen=True)
class Scaffold:
    """A plugin that was written, and what its author does next.

    :ivar path: Its folder.
    :ivar distribution: The name that pip knows.
    :ivar module: The name that Python imports.
    :ivar part: The name that recipes use.
    """

    path: Path
    distribution: str
    module: str
    kind: str
    part: str

    @property
    def next_steps(self) -> tuple[str, ...]:
        """Shell lines, to be typed in order."""
        return (
            f"cd {self.path}",
            'pip install -e ".[testing]"',
            "pytest",
            f"decodeplug plugins --kind {self.kind}",
        )


def kinds() -> list[str]:
    """The kinds of parts for which there is a template."""
    return sorted(entry.name for entry in _templates().iterdir() if entry.is_dir() and not _is_by_product(entry.name))


def new(name: str, directory: str | Path = ".", kind: str = "processor") -> Scaffold:
    """Write a plugin package into ``directory/decodeplug-NAME``: all of it, or nothing.

    :param name: The part's name, lower-case words joined by dashes.
    :param directory: An existing folder.
    :param kind: Which template; see ``kinds``.
    :raises BadOption: The name cannot be used, the folder to write exists already, or
        the folder to write it into does not.
    :raises UnknownPart: There is no template of that kind.
    """
    if kind not in kinds():
        raise UnknownPart("template", kind, kinds())
    contents = dict(_contents(_templates() / kind))
    _check_name(name, kind, contents)
    into = Path(directory)
    target = into / f"decodeplug-{name}"
    if not into.is_dir():
        raise BadOption("new", directory=str(into), wanted="a folder that exists")
    if target.exists() or target.is_symlink():
        raise BadOption("new", name=name, wanted=f"another name or directory: {target} exists already")
    # Written beside the target and then renamed, so that nobody ever finds half a package.
    workshop = Path(tempfile.mkdtemp(prefix=".decodeplug-new-", dir=into))
    try:
        for place, text in contents.items():
            file = workshop / target.name / _renamed(place, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_renamed(text, name), encoding="utf-8")
        (workshop / target.name).rename(target)
    finally:
        shutil.rmtree(workshop)
    return Scaffold(target, target.name, _module(name), kind, name)


def _templates() -> Traversable:
    return files("decodeplug") / "templates"


def _contents(folder: Traversable, inside: str = "") -> Iterator[tuple[str, str]]:
    """Every file of a template: place and text, without what builds and test runs leave behind."""
    for entry in folder.iterdir():
        if _is_by_product(entry.name):
            continue
        if entry.is_dir():
            yield from _contents(entry, f"{inside}{entry.name}/")
        else:
            yield inside + entry.name, entry.read_text(encoding="utf-8")


def _is_by_product(name: str) -> bool:
    return _BY_PRODUCTS.fullmatch(name) is not None


def _check_name(name: str, kind: str, contents: dict[str, str]) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        wanted = f"at most {_LONGEST} characters: lower-case words and digits joined by dashes, such as 'min-p'"
        raise BadOption("new", name=name, wanted=wanted)
    if name in Plugins.load("none").registry.names(kind):
        raise BadOption("new", name=name, wanted=f"another name: there is a built-in {kind} of that name")
    used = re.compile(rf"\b{_class(name)}\b")
    if keyword.iskeyword(_class(name)) or any(used.search(text) for text in contents.values()):
        raise BadOption(
            "new", name=name, wanted=f"another name: its class {_class(name)} would hide one that is in use"
        )


def _module(name: str) -> str:
    return f"decodeplug_{name.replace('-', '_')}"


def _class(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _renamed(text: str, name: str) -> str:
    """The text with the template's own names replaced."""
    names = {
        "decodeplug-template": f"decodeplug-{name}",
        "decodeplug_template": _module(name),
        "test_template": f"test_{name.replace('-', '_')}",
        "Template": _class(name),
        "template": name,
    }
    return _OWN_NAMES.sub(lambda match: names[match[0]], text)
