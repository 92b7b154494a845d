"""Install every plugin into an environment of its own and run its tests; what ``make plugins`` calls.

    python plugins/run_tests.py [NAME ...]

A plugin is a folder of ``plugins/`` with a ``pyproject.toml``, and ``examples/custom_processor``. Each is
copied, so that a build leaves nothing in the source, and installed with pip into a fresh virtual
environment. That environment also sees the packages of the one that runs this script (decodeplug,
torch, pytest ...), through a ``.pth`` file that adds their folders: nothing that is here already is
installed again, and what a plugin needs beyond it goes into the fresh environment alone.

Prints one line for each plugin, and all output of those that failed. Exit code 1 if any failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BY_PRODUCTS = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "dist", ".*")


def plugins() -> dict[str, Path]:
    """Name -> folder of every plugin; links are followed."""
    folders = [*sorted((ROOT / "plugins").iterdir()), ROOT / "examples" / "custom_processor"]
    return {folder.name: folder.resolve() for folder in folders if (folder / "pyproject.toml").is_file()}


def fresh_environment(place: Path) -> Path:
    """A virtual environment that also sees this one's packages; returns its Python."""
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    python = next(scripts / name for name in ("python.exe", "python") if (scripts / name).exists())
    names = {"base": str(place), "platbase": str(place)}
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars=names))
    here = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    # addsitedir, not the bare folder: it also reads the .pth files in there, by which editable installs work.
    lines = [f"import site; site.addsitedir({folder!r})" for folder in here]
    (site / "packages_of_the_parent.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return python


def run(command: Sequence[str | Path], folder: Path) -> tuple[bool, str]:
    """Run a command; returns whether it succeeded, and what it printed."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout


def check(folder: Path) -> tuple[bool, str]:
    """Install one plugin and run its tests; returns whether they passed, and the output."""
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch, folder.name)
        shutil.copytree(folder, package, ignore=BY_PRODUCTS)
        python = fresh_environment(Path(scratch, "environment"))
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet"]
        fine, printed = run([*pip, "--no-build-isolation", f"{package}[testing]"], package)
        if not fine:
            return False, printed
        return run([python, "-m", "pytest", "-p", "no:cacheprovider"], package)


def say(line: str) -> None:
    """Show a line at once: a plugin takes a while."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(names: Sequence[str]) -> int:
    """Check the plugins of these names, or all; returns the exit code."""
    known = plugins()
    if unknown := [name for name in names if name not in known]:
        sys.stderr.write(f"there is no plugin {', '.join(unknown)}. Known: {', '.join(known)}\n")
        return 2
    failed = 0
    for name in names or known:
        began = time.perf_counter()
        fine, printed = check(known[name])
        last = printed.strip().splitlines()[-1] if printed.strip() else "no output"
        verdict = "ok    " if fine else "FAILED"
        say(f"{verdict} {name}: {last.strip('= ')} ({time.perf_counter() - began:.0f} s)")
        if not fine:
            failed += 1
            say(printed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
