"""Formats to the letter."""

from __future__ import annotations

import json

import jsonschema
import pytest

from decodeplug.constraints import accepts, json_schema
from decodeplug.constraints.formats import format_checker
from decodeplug.errors import InvalidResult
from decodeplug.testing import byte_tokenizer
from decodeplug.vocabulary import Vocabulary

BYTES = byte_tokenizer()
VOCABULARY = Vocabulary(BYTES, len(BYTES), {BYTES.eos_token_id})
CASES = {
    "date": [("2024-02-29", True), ("2023-02-29", False), ("2100-02-29", False), ("2000-02-29", True)],
    "time": [
        ("23:59:60Z", True),
        ("22:59:60Z", False),
        ("01:29:60+01:30", True),
        ("15:59:60-08:00", True),
        ("23:59:60+00:01", False),
        ("24:00:00Z", False),
        ("12:00:00", False),
    ],
    "date-time": [
        ("2016-12-31T23:59:60Z", True),
        ("2016-12-31T23:58:60Z", False),
        ("2023-02-30T00:00:00Z", False),
        ("2023-02-28T00:00:00.25+14:00", True),
    ],
    "hostname": [
        ("example.org", True),
        ("xn--bcher-kva.example", True),
        ("xn--a.example", False),
        ("ab--cd.example", False),
        (".".join(["a" * 62] * 4) + ".b", True),
        (".".join(["a" * 62] * 4) + ".bc", False),
    ],
    "idn-hostname": [
        ("b\u00fccher.example", True),
        ("a\u3002b", True),
        ("example.", False),
        ("-a", False),
        ("0a.\u05d0", False),
        ("a0.\u05d0", True),
        ("\u00fc" * 60, False),
    ],
    "idn-email": [("j\u00fcrgen@b\u00fccher.example", True), ("a@[127.0.0.1]", True), ("a@", False), ("a b@c", False)],
    "ipv6": [
        ("::1", True),
        ("1:2:3:4:5:6:7:8", True),
        ("::ffff:127.0.0.1", True),
        ("1::2::3", False),
        ("12345::", False),
    ],
    "uri-reference": [("../a?b#c", True), ("", True), ("//host:80/a", True), ("a:b c", False), ("1a:b", False)],
    "iri": [("http://b\u00fccher.example/\u00e4", True), ("/\u00e4", False), ("http://a/\ufdd0", False)],
    "iri-reference": [("\u00e4", True), ("#\u00e4", True), ("\\\\a", False)],
    "uri-template": [("/{+path}/x{?q,r*,s:3}", True), ("/{a", False), ("{a:0}", False)],
    "json-pointer": [("", True), ("/a~1b/~0", True), ("a", False), ("/~2", False)],
    "relative-json-pointer": [("1/a", True), ("0#", True), ("01/a", False), ("-1", False)],
    "regex": [("^(a|b)[c-e]{1,2}$", True), ("\\\\p{Letter}", True), ("(a", False), ("^a\\\\Z", False)],
}
ALL = [(name, text, fine) for name, cases in CASES.items() for text, fine in cases]


@pytest.mark.parametrize(("name", "text", "fine"), ALL)
def test_mask_and_last_check_agree_with_the_letter(name: str, text: str, fine: bool) -> None:
    spec = json_schema({"type": "string", "format": name})
    assert accepts(spec.compile(VOCABULARY), VOCABULARY, f'"{text}"') == fine
    if fine:
        assert spec.value(f'"{text}"') == json.loads(f'"{text}"')
    else:
        with pytest.raises(InvalidResult):
            spec.value(f'"{text}"')


@pytest.mark.parametrize("name", CASES)
def test_a_format_says_nothing_of_what_is_no_string(name: str) -> None:
    assert format_checker(jsonschema.Draft202012Validator).conforms(3, name)


def test_an_older_draft_has_fewer_formats() -> None:
    assert json_schema({"type": "string", "format": "idn-hostname"}, draft="4").value('"-"') == "-"
    with pytest.raises(InvalidResult):
        json_schema({"type": "string", "format": "idn-hostname"}, draft="7").value('"-"')
