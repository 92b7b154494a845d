"""``decodeplug moe``, on a tiny Mixtral in a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from decodeplug.cli import app, main
from decodeplug.routing import Routing
from decodeplug.testing import byte_tokenizer, tiny_model

Run = Callable[..., Any]
TEXT = "Once upon a time there was a small bear, and 17 owls.\nThey sang."


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixtral")
    model: Any = tiny_model("mixtral", num_experts=5, num_local_experts=5)
    model.float().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(experts: Path) -> Run:
    def invoke(command: str, *arguments: str) -> Any:
        return CliRunner().invoke(app, ["moe", command, "--model", str(experts), *arguments], catch_exceptions=False)

    return invoke


def test_a_report_of_a_text(run: Run, text: Path, tmp_path: Path) -> None:
    out, tensors = tmp_path / "report.html", tmp_path / "routing.safetensors"
    said = json.loads(run("report", "--text", str(text), "--out", str(out), "--tensors", str(tensors), "--json").stdout)
    assert (said["tokens"], said["prompt_length"], said["experts"], said["k"]) == (len(TEXT), len(TEXT), [5, 5], 2)
    assert said["bytes"] == out.stat().st_size
    assert "<!doctype html>" in out.read_text(encoding="utf-8")
    assert Routing.from_safetensors(tensors).load.tolist() == said["load"]


def test_a_report_of_a_prompt_and_what_follows(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    result = run("report", "--prompt", "Once", "--max-new-tokens", "8", "--out", str(out))
    assert result.stdout.startswith(f"{out}: 11 tokens, 2 layers")


def test_the_terminal_shows_tokens_and_loads(run: Run, text: Path) -> None:
    printed = run("show", "--text", str(text), "--layer", "1").stdout
    assert "Once upon a time" in printed
    assert "load by layer" in printed
    facts = json.loads(run("show", "--text", str(text), "--json").stdout)
    assert len(facts["balance"]["entropy"]) == 2


def test_what_if(run: Run, text: Path) -> None:
    given = ("what-if", "--text", str(text), "--intervention", "moe-top-k=1")
    said = json.loads(run(*given, "--json").stdout)
    assert said["perplexity"] != said["changed_perplexity"]
    assert 0 < said["same_experts"] <= 0.5
    assert "perplexity of the text" in run(*given).stdout
    written = run("what-if", "--prompt", "Once", "--max-new-tokens", "6", "--intervention", "moe-noise=0").stdout
    assert "100.0" in written
    before, after = written.split("as it is: ")[-1].split("\n\nchanged: ")
    assert before == after.rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show"], "either --prompt or --text"),
        (["show", "--prompt", "a", "--text", "b"], "either --prompt or --text"),
        (["show", "--text", "not there"], "a text file in UTF-8"),
        (["show", "--prompt", "ab", "--layer", "2"], "a place from 0 to 1"),
        (["what-if", "--prompt", "ab", "--intervention", "moe-top-k=9"], "at most the 5 experts"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    experts: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["moe", *arguments, "--model", str(experts)])
    assert left.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert says in said[-1]  # before it, transformers may show how it loads weights
