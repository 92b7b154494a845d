"""``decodeplug train-heads``, on a tiny model in a local folder."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from decodeplug.cli import app, main
from decodeplug.cli.texts import interrupted
from decodeplug.errors import BadOption
from decodeplug.heads import Heads
from decodeplug.loading import load
from decodeplug.testing.tokenizer import TRAINING_TEXT

Run = Callable[..., Any]


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    def invoke(*arguments: str) -> Any:
        given = ["train-heads", "--model", str(folder), "--out", str(tmp_path / "out"), "--steps", "3", *arguments]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return invoke


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "text.txt").write_text("\n".join(TRAINING_TEXT), encoding="utf-8")
    return str(tmp_path / "text.txt")


def test_heads_are_trained_on_text_files(run: Run, folder: Path, tmp_path: Path, text: str) -> None:
    result = run("--text", text, "--text", text, "--kind", "independent", "--heads", "2", "--width", "32", "--json")
    card = json.loads(result.stdout)
    assert (card["kind"], card["steps"], card["text"]) == ("independent", 3, "text.txt, text.txt")
    assert len(card["acceptance"]) == 2
    model, _ = load(folder)
    assert Heads.load(tmp_path / "out", model).kind == "independent"


def test_the_model_writes_its_own_text_once(run: Run, tmp_path: Path) -> None:
    first = run("--self-generated", "300", "--vocab", "64", "--json")
    assert json.loads(first.stdout)["text"] == "written by the model itself"
    written = (tmp_path / "out" / "text.safetensors").stat().st_mtime_ns
    again = run("--self-generated", "300", "--vocab", "64", "--steps", "5", "--resume", "--json")
    assert json.loads(again.stdout)["steps"] == 5
    assert (tmp_path / "out" / "text.safetensors").stat().st_mtime_ns == written


def test_a_table_shows_the_acceptance_of_every_head(run: Run, text: str) -> None:
    shown = " ".join(run("--text", text, "--width", "32").stdout.split())
    assert "recurrent heads, on text that was held out" in shown
    assert "3 steps" in shown


def test_ctrl_c_leaves_a_checkpoint_and_exit_code_130(
    run: Run, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from decodeplug.heads.training import Training

    take_step = Training._take_step

    def pressed(training: Training) -> None:
        take_step(training)
        if training.step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Training, "_take_step", pressed)
    result = run("--text", text, "--width", "32")
    assert result.exit_code == 130
    assert "--resume" in result.stdout
    resumed = run("--text", text, "--width", "32", "--resume", "--json")
    assert json.loads(resumed.stdout)["steps"] == 3


def test_the_second_ctrl_c_is_as_always() -> None:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores the signal
    try:
        with interrupted() as stop:
            assert not stop()
            signal.raise_signal(signal.SIGINT)
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --text or --self-generated"),
        (["--text", "x.txt", "--self-generated", "9"], "either --text or --self-generated"),
        (["--text", "missing.txt"], "a text file in UTF-8"),
        (["--text", "TEXT", "--kind", "medusa"], "one of independent, recurrent"),
        (["--text", "TEXT", "--resume"], "a folder with a checkpoint"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    folder: Path,
    tmp_path: Path,
    text: str,
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [text if argument == "TEXT" else argument for argument in arguments]
    with pytest.raises(SystemExit) as exit_:
        main(["train-heads", "--model", str(folder), "--out", str(tmp_path / "out"), *given])
    assert exit_.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_an_empty_text_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(BadOption, match="at least 8 tokens"):
        run("--text", str(tmp_path / "empty.txt"))
