"""Every example runs, with small budgets, and does what it says."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import jsonschema
import pytest
import torch

from decodeplug import Host
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, tiny_model

EXAMPLES = Path(__file__).parents[2] / "examples"
BY_PRODUCTS = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", ".*_cache")


def run(name: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run an example's ``main``, and return what it printed."""
    importlib.import_module(name).main(arguments)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Examples find each other as they do when they are run as scripts, and write into an empty folder."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)


@pytest.mark.smollm2
def test_a_wrapped_pipeline_gives_structure_to_code_that_was_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run("wrap_pipeline", "--max-new-tokens", "40", capsys=capsys)
    assert "legs, says the model." in printed


@pytest.mark.smollm2
def test_a_teddy_bear_is_invented_and_the_next_token_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    printed = run("teddy_bear", "--temperatures", "0.5", "2", "--tokens", "3", "--plot", "bears.svg", capsys=capsys)
    assert "and reads:" in printed
    root = Xml.parse(tmp_path / "bears.svg").getroot()
    bars = [shape for shape in root.iter() if shape.tag.endswith("rect") and shape.get("width") == "12.0"]
    heights = [float(bar.get("height", "0")) for bar in bars]
    assert len(heights) == 6  # three tokens at two temperatures
    assert heights[0] > heights[1]  # the likeliest token has more at the lower temperature


@pytest.mark.smollm2
def test_invoices_are_read_at_once_and_the_one_that_cannot_be_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    garden, books, long = run("extract_invoice_app", "--max-new-tokens", "50", capsys=capsys).splitlines()
    assert garden.startswith("garden: number ")
    assert books.startswith("books: number ")
    assert "ContextOverflow" in long


@pytest.mark.smollm2
def test_the_best_answers_come_first_and_all_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    answers = run("beams", "--num-beams", "3", capsys=capsys).splitlines()
    scores = [float(answer.split()[0]) for answer in answers]
    assert len(scores) == len(set(answers)) == 3
    assert scores == sorted(scores, reverse=True)


@pytest.mark.smollm2
def test_what_questions_have_in_common_is_computed_once(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        run("shared_prompt", f"--cache={cache}", "--max-new-tokens=8", capsys=capsys) for cache in ("paged", "dense")
    ]
    paged, dense = ([line.rpartition(" (") for line in answer.splitlines()] for answer in answers)
    assert [line[0] for line in paged] == [line[0] for line in dense]
    computed = [[int(line[2].split()[0]) for line in lines] for lines in (paged, dense)]
    assert computed[0][0] == computed[1][0]
    assert all(few < 0.35 * all_of_them for few, all_of_them in zip(computed[0][1:], computed[1][1:], strict=True))


@pytest.mark.smollm2
def test_a_long_text_takes_fewer_bytes_and_its_answer_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module("fewer_bytes")
    printed = run("fewer_bytes", "--reports=10", capsys=capsys).splitlines()
    assert [line.partition(": ")[0] for line in printed] == module.CACHES
    megabytes = [float(line.split()[1]) for line in printed]
    assert megabytes == sorted(megabytes, reverse=True)
    assert megabytes[-1] < 0.6 * megabytes[0]
    for line in printed:
        jsonschema.validate(json.loads(line.partition(" ids: ")[2]), module.SCHEMA)


def test_inputs_of_a_model_without_rotary_positions_take_half_the_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = bpe_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    tiny_model("gpt2", vocab=len(tokenizer), context=2048, dtype=torch.float32).save_pretrained(tmp_path)
    caches = [f"--cache={name}" for name in ("dense", "stored-input")]
    printed = run("fewer_bytes", f"--model={tmp_path}", "--reports=2", *caches, capsys=capsys).splitlines()
    dense, stored = (float(line.split()[1]) for line in printed)
    assert stored == pytest.approx(dense / 2, abs=0.1)
    assert printed[0].partition(" ids: ")[2] == printed[1].partition(" ids: ")[2]


@pytest.mark.smollm2
def test_a_table_is_booked_by_rules_that_no_mask_knows(capsys: pytest.CaptureFixture[str]) -> None:
    *explained, budget, booking, tax = run("table_booking", "--max-new-tokens", "90", capsys=capsys).splitlines()
    assert "/properties/guests/uniqueItems: checked" in explained
    assert "/if: rewritten" in explained
    assert budget.startswith("8 tokens are not enough, ")
    jsonschema.validate(json.loads(booking), importlib.import_module("table_booking").BOOKING)
    assert tax.endswith("nats from what the model would have written")


@pytest.mark.smollm2
def test_a_sum_is_voted_on(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run("self_consistency", "--n", "3", "--max-new-tokens", "30", capsys=capsys).splitlines()
    assert [line[:3] for line in printed[:3]] == ["0: ", "1: ", "2: "]
    assert any(line.startswith("Most say: ") and "% of the votes" in line for line in printed)


def test_a_model_that_fails_leaves_no_caller_of_the_invoice_app_waiting() -> None:
    app = importlib.import_module("extract_invoice_app")
    tokenizer = byte_tokenizer()
    model = tiny_model(vocab=len(tokenizer))

    def fail(*_: object) -> None:
        raise RuntimeError("the device is gone")

    async def ask_twice(host: Host) -> list[object]:
        async with app.Extractor(host) as extractor:
            letters = (extractor.extract(letter) for letter in ("one", "two"))
            return await asyncio.wait_for(asyncio.gather(*letters, return_exceptions=True), timeout=60)

    with Host(model, tokenizer, plugins=[]) as host:
        model.register_forward_hook(fail)
        first, second = asyncio.run(ask_twice(host))
    assert str(first) == str(second) == "the device is gone"


def test_the_custom_processor_installs_passes_its_tests_and_is_found_by_a_host(tmp_path: Path) -> None:
    package, site = tmp_path / "custom_processor", tmp_path / "site"
    shutil.copytree(EXAMPLES / "custom_processor", package, ignore=BY_PRODUCTS)
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    python(*pip, "--no-build-isolation", "--no-compile", "--target", str(site), str(package), folder=package)
    # Its own tests build a host that finds the plugin by its entry point.
    python("-m", "pytest", "-p", "no:cacheprovider", folder=package, site=site)


def python(*arguments: str, folder: Path, site: Path | None = None) -> None:
    """Run Python; ``site`` is a folder of installed packages that is found first."""
    environment = {**os.environ, "PYTHONPATH": str(site or ""), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
