"""Options of JSON schemas mean what they mean for the built-in engine."""

from __future__ import annotations

import itertools
import json
from typing import Any

import decodeplug
import pytest
from decodeplug.constraints import accepts
from decodeplug.plugin import BadOption, UnsupportedSchema
from vocabularies import BYTES, PIECES, allows

from decodeplug_xgrammar import json_schema

BEARS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "kin": {"enum": [[1, {"a": 2}], [], {}]}, "free": {}},
        "required": ["name"],
    },
}
VALUES: list[Any] = [
    [],
    [{"name": "a, b: {c}", "kin": [1, {"a": 2}]}],
    [{"name": "", "kin": []}, {"name": "\n", "kin": {}, "free": [[], {"x": [1, True]}], "more": None}],
]
TEXTS = [
    *(json.dumps(value, indent=width) for value in VALUES for width in (None, 1, 2, 4)),
    *(json.dumps(value, separators=(",", ":")) for value in VALUES),
    *(
        '[{"name":"a", "kin":[]}]',
        '[ {"name": "a"} ]',
        '[\n{"name": "a"}]',
        '[{\n "name": "a"\n}]',
        '[{"name": 1}]',
        "",
    ),
]


@pytest.mark.parametrize("layout", ["model", "spaced", "compact", "indent=2", "any"])
def test_a_layout_allows_the_texts_that_the_built_in_engine_allows(layout: str) -> None:
    constraint = json_schema(BEARS, layout).compile(BYTES)
    built_in = decodeplug.json_schema(BEARS, layout).compile(BYTES)
    assert [accepts(constraint, BYTES, text) for text in TEXTS] == [accepts(built_in, BYTES, text) for text in TEXTS]


def test_the_model_lays_out_by_default() -> None:
    written = [json.dumps(VALUES[1], indent=width) for width in (None, 3)]
    assert all(allows(json_schema(BEARS), text) for text in written)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(['"a"', '"b"', '"\\"\\n"'], 2)))
def test_no_key_is_written_twice(first: str, second: str) -> None:
    spec = json_schema({"type": "object"}, "compact")
    assert allows(spec, f"{{{first}:1,{second}:{{{first}:2}}}}")
    assert not allows(spec, f"{{{first}:1,{second}:2,{first}:3}}")


def test_no_number_that_overflows_is_written() -> None:
    spec = json_schema({"type": "number"})
    assert allows(spec, "1e308")
    assert not allows(spec, "1e309")


def test_references_lead_to_documents_of_the_registry() -> None:
    schema = {"items": {"$ref": "https://example.org/bear#/$defs/age"}, "type": "array"}
    bear = {"$defs": {"age": {"type": "integer", "minimum": 0, "maximum": 30}}}
    spec = json_schema(schema, registry={"https://example.org/bear": bear})
    assert allows(spec, "[3, 30]")
    assert not allows(spec, "[31]")
    with pytest.raises(UnsupportedSchema):
        json_schema(schema)


def test_leniently_what_is_refused_is_left_out_and_said() -> None:
    schema = {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": "^(?=a)b", "maxLength": 1}}
    with pytest.warns(UserWarning, match="not enforced"):
        spec = json_schema(schema, "spaced", lenient=True)
    assert allows(spec, '["b", "b"]')
    assert not allows(spec, '["bb"]')
    assert [note.split()[2] for note in spec.dropped] == ["pattern", "uniqueItems"]


@pytest.mark.parametrize(
    "options", [{"layout": "wide"}, {"layout": "indent=9"}, {"formats": "perhaps"}, {"draft": "3"}, {"registry": 3}]
)
def test_options_that_do_not_exist_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        json_schema({}, **options)


@pytest.mark.parametrize("layout", ["model", "indent=2"])
def test_forced_texts_go_over_lines(layout: str) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "null"}}, "required": ["name"], "maxProperties": 1}
    constraint = json_schema(schema, layout).compile(PIECES)
    state = constraint.start()
    for token in PIECES.encode('{\n  "'):
        following = constraint.advance(state, token)
        assert following is not None
        state = following
    assert b"".join(map(PIECES.token_bytes, constraint.forced(state))).startswith(b'name": null\n}')
