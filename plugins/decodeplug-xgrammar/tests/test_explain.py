"""What becomes of each keyword: from Python, and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from decodeplug.cli import main
from decodeplug.constraints.schema_report import Explained

from decodeplug_xgrammar import explain

BOOK = {
    "$defs": {"unused": {"not": {}}},
    "title": "Book",
    "type": "object",
    "properties": {"tags": {"type": "array", "uniqueItems": True}, "size": {"enum": [1, 2]}},
}


def check(schema: Any, folder: Path, *options: str) -> int:
    """The exit code of ``decodeplug schema check``."""
    file = folder / "schema.json"
    file.write_text(json.dumps(schema), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["schema", "check", str(file), "--engine", "xgrammar", "--json", *options])
    return int(left.value.code or 0)


def test_every_keyword_that_asserts_something_has_a_row() -> None:
    assert explain(BOOK) == [
        Explained("/type", "type", "mask"),
        Explained("/properties", "properties", "mask"),
        Explained("/properties/tags/type", "type", "mask"),
        Explained("/properties/tags/uniqueItems", "uniqueItems", "refused", "XGrammar does not compare items"),
        Explained("/properties/size/enum", "enum", "mask"),
    ]


def test_what_only_an_equal_schema_can_say_is_rewritten() -> None:
    assert explain({"not": {"type": "string"}}) == [
        Explained("/not", "not", "rewritten"),
        Explained("", "keys and numbers", "checked", "no key comes twice, and no number overflows"),
    ]


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        ({"type": "strin"}, ("/type", "type", "not a schema")),
        ({"type": "integer", "minimum": 3, "maximum": 2}, ("", "the schema", "no value")),
        ({"$ref": "#/$defs/a"}, ("/$ref", "$ref", "no schema")),
    ],
)
def test_what_is_no_schema_or_has_no_value_is_one_row(schema: Any, row: tuple[str, str, str]) -> None:
    [found] = explain(schema)
    assert (found.pointer, found.keyword, found.how) == (*row[:2], "refused")
    assert row[2] in found.because


def test_the_command_line_says_what_is_refused_and_exits_with_2(tmp_path: Path, capsys: Any) -> None:
    assert check(BOOK, tmp_path) == 2
    said = json.loads(capsys.readouterr().out)
    assert (said["engine"], said["refused"]) == ("xgrammar", True)
    assert said["keywords"][3] == {
        "pointer": "/properties/tags/uniqueItems",
        "keyword": "uniqueItems",
        "how": "refused",
        "because": "XGrammar does not compare items",
    }


def test_the_command_line_hands_all_options_on(tmp_path: Path, capsys: Any) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"type": "string", "format": "email"}', encoding="utf-8")
    schema = {"definitions": {"a": {"$ref": "https://example.org/a"}}, "$ref": "#/definitions/a", "not": {}}
    documents = ("--registry", f"https://example.org/a={other}", "--draft", "7")
    assert check(schema, tmp_path, *documents) == 2
    assert check(schema, tmp_path, *documents, "--formats", "annotate") == 0
    first, second = map(json.loads, capsys.readouterr().out.replace("}\n{", "}\0{").split("\0"))
    assert [row["how"] for row in first["keywords"]].count("refused") == 1
    assert {row["how"] for row in second["keywords"]} == {"mask"}
