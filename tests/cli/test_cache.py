"""``decodeplug cache calibrate`` and ``decodeplug cache report``, on a tiny model in a local folder."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from decodeplug import Host
from decodeplug.caches import Latent
from decodeplug.cli import app, main
from decodeplug.cli.cache import named
from decodeplug.errors import BadOption
from decodeplug.testing.tokenizer import TRAINING_TEXT

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(TRAINING_TEXT * 20), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["cache", *arguments, "--model", str(folder)], catch_exceptions=False)

    return invoke


@pytest.fixture(scope="module")
def calibration(run: Run, text: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("calibration"))
    said = json.loads(
        run("calibrate", "--text", text, "--out", path, "--bits", "4", "--documents", "2", "--json").stdout
    )
    assert (said["bits"], said["text"], said["layers"], said["ids"]) == (4.0, "text.txt", 2, 1024)
    return path


def test_what_was_calibrated_is_used_by_a_host(folder: Path, calibration: str) -> None:
    host = Host.from_pretrained(str(folder), plugins=[])
    result = host.generate(
        "Once there was a small bear. " * 20, cache=f"latent=calibration={calibration}", max_new_tokens=4
    )
    assert result.trace.cache["coded_bytes"] > 0


def test_without_text_the_model_writes_its_own(run: Run, tmp_path: Path) -> None:
    result = run("calibrate", "--self-generated", "600", "--out", str(tmp_path))
    assert result.exit_code == 0
    assert "Use it: --cache latent=calibration=" in result.stdout
    assert Latent(str(tmp_path))._read().text == "written by the model itself"


def test_nothing_but_the_weights_is_enough(run: Run, folder: Path, text: str, tmp_path: Path) -> None:
    said = json.loads(run("calibrate", "--weights-only", "--documents", "2", "--out", str(tmp_path), "--json").stdout)
    assert (said["ids"], said["text"]) == (1024, "none: ids that were drawn at random")
    assert not list(tmp_path.glob("text*")), "nothing was written"
    host = Host.from_pretrained(str(folder), plugins=[])
    options = {"cache": f"latent=calibration={tmp_path}", "max_new_tokens": 4}
    assert host.generate("Once there was a small bear. " * 20, **options).trace.cache["coded_bytes"] > 0
    with pytest.raises(BadOption, match="one of the two"):
        run("calibrate", "--weights-only", "--text", text, "--out", str(tmp_path))


def test_ctrl_c_keeps_what_was_learned_so_far(
    run: Run, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def pressed() -> Iterator[Callable[[], bool]]:
        yield lambda: True

    monkeypatch.setattr(import_module("decodeplug.cli.cache"), "interrupted", pressed)
    result = run("calibrate", "--text", text, "--out", str(tmp_path), "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["ids"] == 512
    assert len(Latent(str(tmp_path))._read().layers) == 2


def test_what_cannot_be_calibrated_is_refused_before_the_model_writes(run: Run, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="at most 16"):
        run("calibrate", "--bits", "17", "--out", str(tmp_path / "new"))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match="can be written"):
        run("calibrate", "--out", str(tmp_path / "file"))
    assert not (tmp_path / "new").exists()


def test_a_report_says_what_each_cache_takes_and_changes(run: Run, text: str, calibration: str, tmp_path: Path) -> None:
    caches = "dense,paged,none,latent:8bit,latent:2bit,quant:8,quant:2"
    options = [
        "--text",
        text,
        "--calibration",
        calibration,
        "--length",
        "200",
        "--behind",
        "100",
        "--out",
        str(tmp_path),
    ]
    found = json.loads(
        run("report", "--caches", caches, *options, "--cache", "quantised=bits=4,window=32", "--json").stdout
    )
    rows = {row["cache"]: row for row in found["rows"]}
    assert list(rows) == [
        "dense", "paged", "none", "latent=bits=8", "latent=bits=2", "quantised=bits=8", "quantised=bits=2", "quantised=window=32",
    ]  # fmt: skip
    assert (found["ids"], found["documents"], found["longest"]) == (100, 1, 200)
    assert all(row["is_exact"] == (name in ("dense", "paged", "none")) for name, row in rows.items())
    for name in ("dense", "paged", "none"):
        assert rows[name]["kl"] < 1e-6
        assert rows[name]["perplexity_ratio"] == pytest.approx(1)
    assert rows["quantised=bits=8"]["kl"] < rows["quantised=bits=2"]["kl"]
    assert rows["latent=bits=8"]["kl"] < rows["latent=bits=2"]["kl"]
    assert rows["paged"]["of_own"] == pytest.approx(1, abs=0.1)
    assert rows["paged"]["of_float16"] == pytest.approx(4 * rows["paged"]["of_own"])  # the model is in float64
    assert rows["dense"]["step_ratio"] == 1
    assert rows["none"]["bytes_per_id"] == 0
    assert all(row["step_ms"] > 0 for row in rows.values())
    page = (tmp_path / "report.md").read_text()
    assert all(f"| {name}" in page for name in rows)
    assert json.loads((tmp_path / "report.json").read_text()) == found
    names = [node.text for node in ElementTree.parse(tmp_path / "report.svg").iter() if node.tag.endswith("text")]
    assert set(rows) - set(names) == {"none"}


def test_a_report_for_people_is_a_table(run: Run, text: str) -> None:
    said = run("report", "--caches", "dense,quant:2", "--text", text, "--length", "180", "--behind", "90").stdout
    assert "quantised=bits=2 ~" in said
    assert "(~ approximates)" in said


def test_a_model_with_fewer_heads_is_written_and_compared(run: Run, text: str, tmp_path: Path) -> None:
    options = ["--groups", "1", "--text", text, "--length", "100"]
    said = json.loads(run("share-heads", *options, "--out", str(tmp_path / "one"), "--json").stdout)
    assert (said["groups"], said["heads"]) == (1, 2)
    assert 0 < said["kept_keys"] < 1
    assert said["kl"] > 0
    made = Host.from_pretrained(str(tmp_path / "one"), plugins=[])
    assert made.model.config.num_key_value_heads == 1
    assert made.generate("Once", max_new_tokens=2).token_ids
    people = run("share-heads", *options, "--method", "mean", "--out", str(tmp_path / "mean")).stdout
    assert "1 of 2 key and value heads, 50% of the bytes" in people
    with pytest.raises(BadOption, match="empty, or not there yet"):
        run("share-heads", "--groups", "1", "--out", str(tmp_path / "one"))


def test_caches_are_named_in_short() -> None:
    assert named("dense, quant:4,quantised:2bit", None) == [
        "dense",
        {"name": "quantised", "bits": 4},
        {"name": "quantised", "bits": 2},
    ]
    assert named("latent:2.5bit", Path("here")) == [{"name": "latent", "bits": 2.5, "calibration": "here"}]
    with pytest.raises(BadOption, match="--calibration"):
        named("latent", None)
    with pytest.raises(BadOption, match="goes to --cache"):
        named("quantised=bits=4,group=32", None)
    with pytest.raises(BadOption, match="a number of bits"):
        named("quant:1.2.3", None)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--caches", "quant:3"], "2, 4 or 8"),
        (["--caches", "nonsense"], "nonsense"),
        (["--length", "100", "--behind", "99"], "at least 101 ids"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(
    folder: Path, text: str, arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["cache", "report", "--model", str(folder), "--text", text, *arguments])
    assert left.value.code == 2
    assert wanted in capsys.readouterr().err
