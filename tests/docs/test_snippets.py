"""Every Python snippet of the README and the docs runs, as it stands.

Snippets of one file run in order, in one namespace and in an empty folder. Before the first one, these names are there:

    model       a tiny random model (float64), as a transformers object
    tokenizer   its tokenizer
    host        Host(model, tokenizer, plugins=[])

A snippet whose fence says ``python smollm2`` needs the embedded model, and with it the whole
file is marked ``smollm2``. Warnings are errors, as in all tests.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from decodeplug import Host
from decodeplug.testing import bpe_tokenizer, tiny_model

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```python(?P<needs>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(page: Path) -> list[tuple[int, str, str]]:
    """For each snippet: the line on which its code begins, what its fence says it needs, and the code."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start("code")) + 1, found["needs"].strip(), found["code"])
        for found in FENCE.finditer(text)
    ]


def pages() -> list[Any]:
    params = []
    for page in PAGES:
        found = snippets(page)
        marks = [pytest.mark.smollm2] if any(needs == "smollm2" for _, needs, _ in found) else []
        if found:
            params.append(pytest.param(page, marks=marks, id=str(page.relative_to(ROOT))))
    return params


@pytest.mark.parametrize("page", pages())
def test_the_snippets_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer = bpe_tokenizer()
    model = tiny_model(vocab=len(tokenizer))
    with Host(model, tokenizer, plugins=[]) as host:
        module = ModuleType("snippets")
        monkeypatch.setitem(sys.modules, "snippets", module)  # classes of a page look their module up
        vars(module).update(model=model, tokenizer=tokenizer, host=host)
        for line, _, code in snippets(page):
            # The newlines in front let a traceback name the line of the page.
            exec(compile("\n" * (line - 1) + code, str(page), "exec", dont_inherit=True), vars(module))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_fence_says_nothing_that_the_tests_do_not_know(page: Path) -> None:
    assert {needs for _, needs, _ in snippets(page)} <= {"", "smollm2"}
