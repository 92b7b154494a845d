"""Formats to the letter: times, dates and host names."""

from __future__ import annotations

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
}
ALL = [(name, text, fine) for name, cases in CASES.items() for text, fine in cases]


@pytest.mark.parametrize(("name", "text", "fine"), ALL)
def test_mask_and_last_check_agree_with_the_letter(name: str, text: str, fine: bool) -> None:
    spec = json_schema({"type": "string", "format": name})
    assert accepts(spec.compile(VOCABULARY), VOCABULARY, f'"{text}"') == fine
    if fine:
        assert spec.value(f'"{text}"') == text
    else:
        with pytest.raises(InvalidResult):
            spec.value(f'"{text}"')


@pytest.mark.parametrize("name", CASES)
def test_a_format_says_nothing_of_what_is_no_string(name: str) -> None:
    assert format_checker(jsonschema.Draft202012Validator).conforms(3, name)


def test_a_draft_gets_the_formats_that_it_has() -> None:
    for draft in (jsonschema.Draft4Validator, jsonschema.Draft7Validator, jsonschema.Draft202012Validator):
        assert format_checker(draft).checkers.keys() == draft.FORMAT_CHECKER.checkers.keys()
        assert not draft.FORMAT_CHECKER.checkers.keys() - format_checker(draft).checkers.keys()
