"""Models by name: what cannot be loaded says why, and how to go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decodeplug import Host
from decodeplug.embedded import embedded_folder, keep
from decodeplug.errors import BadOption, UnsupportedModel
from decodeplug.testing import byte_tokenizer, tiny_model


def saved(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    tiny_model(vocab=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def configured(**changes: Any) -> Callable[[Path], None]:
    """Changes the configuration of a model folder; None takes an entry away."""

    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | changes
        kept = {name: value for name, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return change


def without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def with_text(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("break_it", "kind", "says"),
    [
        (configured(model_type="zork"), UnsupportedModel, "zork.*update transformers"),
        (configured(model_type=None, architectures=None), UnsupportedModel, "model_type.*Write its model_type"),
        (configured(model_type="t5"), UnsupportedModel, "no causal language model"),
        (
            configured(model_type="zork", auto_map={"AutoConfig": "own.Config"}),
            UnsupportedModel,
            "trust_remote_code=True",
        ),
        (without("config.json"), BadOption, "no config.json"),
        (with_text("config.json", "{"), BadOption, "not a valid JSON"),
        (without("model.safetensors"), BadOption, "safetensors"),
        (with_text("model.safetensors", "x"), BadOption, "safetensors"),
        (without("tokenizer.json", "tokenizer_config.json"), BadOption, r"Host\(model, tokenizer\)"),
        (with_text("tokenizer.json", "{"), BadOption, r"Host\(model, tokenizer\)"),
    ],
)
def test_a_folder_that_is_no_whole_model_says_what_it_lacks(
    tmp_path: Path, break_it: Callable[[Path], None], kind: type[Exception], says: str
) -> None:
    break_it(saved(tmp_path))
    with pytest.raises(kind, match=says):
        Host.from_pretrained(str(tmp_path), plugins=[])


@pytest.mark.parametrize("name", ["MISSING", "./missing", "~/no such model", "a/b/c", "own er/name", Path("missing")])
def test_a_folder_that_is_missing_is_said_to_be_missing(tmp_path: Path, name: str | Path) -> None:
    with pytest.raises(BadOption, match="there is no folder") as caught:
        Host.from_pretrained(str(tmp_path / "missing") if name == "MISSING" else name)
    assert "hf download" not in str(caught.value)


def test_a_file_is_no_model_folder(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("x")
    with pytest.raises(BadOption, match="this is a file"):
        Host.from_pretrained(str(tmp_path / "model.gguf"))


def test_an_option_that_the_model_does_not_take_is_a_bad_option(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no_such_option"):
        Host.from_pretrained(str(saved(tmp_path)), no_such_option=1)


def test_a_folder_with_a_model_is_loaded(tmp_path: Path) -> None:
    with Host.from_pretrained(str(saved(tmp_path)), plugins=[]) as host:
        assert host.generate("ab", max_new_tokens=2).token_ids


@pytest.mark.parametrize("stands_there", ["nothing", "half a model", "a file"])
def test_a_model_that_is_kept_replaces_what_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands_there: str
) -> None:
    monkeypatch.setenv("DECODEPLUG_CACHE", str(tmp_path))
    folder = tmp_path / "smollm2-1"
    if stands_there == "half a model":
        folder.mkdir()
        (folder / "model.safetensors").write_text("x")
    elif stands_there == "a file":
        folder.write_text("x")
    keep(folder, lambda empty: saved(empty) and None)
    assert embedded_folder() == folder  # nothing is converted: a whole model stands there now
    assert (folder / "model.safetensors").stat().st_size > 1
    assert [path.name for path in tmp_path.iterdir()] == ["smollm2-1"]


def test_a_whole_model_stays_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(empty: Path) -> None:
        (empty / "config.json").write_text("{}")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        keep(tmp_path / "model", fail)
    assert list(tmp_path.iterdir()) == []
    saved(tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").stat().st_ino
    keep(tmp_path / "model", lambda empty: saved(empty) and None)
    assert (tmp_path / "model" / "model.safetensors").stat().st_ino == before
