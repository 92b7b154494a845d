"""``decodeplug schema check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from refused import REFUSED

from decodeplug.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["schema", "check", *arguments])
    return int(left.value.code or 0)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def written(schema: Any, name: str = "schema.json") -> str:
        (tmp_path / name).write_text(json.dumps(schema))
        return str(tmp_path / name)

    return written


def test_a_table_has_a_row_for_each_keyword(file: Any, capsys: Any) -> None:
    assert run(file({"type": "array", "uniqueItems": True, "items": {"enum": [1, 2]}})) == 0
    shown = capsys.readouterr().out
    assert "/uniqueItems" in shown
    assert "checked" in shown
    assert "/items/enum" in shown


def test_a_refused_schema_is_said_where_and_why_and_exits_with_2(file: Any, capsys: Any) -> None:
    assert run(file({"items": REFUSED}), "--json") == 2
    said = json.loads(capsys.readouterr().out)
    assert said["refused"]
    [row] = said["keywords"]
    assert (row["pointer"], row["keyword"], row["how"]) == ("/items/pattern", "pattern", "refused")
    assert row["because"]


def test_documents_are_given_by_their_uris(file: Any, capsys: Any) -> None:
    schema = file({"$ref": "https://example.org/a"})
    assert run(schema) == 2
    assert run(schema, "--registry", f"https://example.org/a={file({'type': 'null'}, 'a.json')}") == 0
    assert run(schema, "--registry", "a.json") == 2
    assert "URI=FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--draft", "3"], "2020-12"), (["--formats", "perhaps"], "annotate"), (["--engine", "xgramma"], "mask engine")],
)
def test_bad_options_are_one_line(file: Any, capsys: Any, arguments: list[str], said: str) -> None:
    assert run(file({}), *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(capsys: Any, tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.json")) == 2
    assert capsys.readouterr().err.count("\n") == 1
