"""Lark grammars as constraints: what Lark loads is enforced, or refused with its place."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decodeplug import lark
from decodeplug.constraints import LarkGrammar, accepts, as_spec
from decodeplug.errors import BadOption, InvalidResult, Unsatisfiable, UnsupportedGrammar
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
BPE = Vocabulary(bpe_tokenizer(), 515, {514})

GRAMMARS = {
    "repetitions": ('start: "a"+ "b"? "c"~2..3', ["acc", "aabccc"], ["", "ac", "bcc", "acccc"]),
    "optional": ('start: ["a"] "b"', ["b", "ab"], ["a", "aab"]),
    "template": ('start: list{NUMBER}\nlist{x}: x ("," x)*\nNUMBER: /[0-9]+/', ["1", "1,22"], ["", "1,", ",1"]),
    "ignored": ('start: ("a" "b")*\n%ignore " "', ["", " ", "ab", " a  b "], ["a", "ba"]),
    "ignored what is also used": (
        "start: (W* _NL)+\nW: /[ab]+/\n_NL: /(\\r?\\n)+/\n%ignore /\\s+/",
        ["a\n", "\n", " a b \n\n b\r\n"],
        ["a", "a\n b"],
    ),
    "flags": ('start: "yes"i | /n[o]/i', ["YeS", "no", "NO", "ye\u017f"], ["y", "noo"]),
    "flags inside": ("start: /(?i:a)b/ /(?s:.)/ /(?x: c # c\n)/x".replace("\n", "\\n"), [], []),
    "range": ('start: ("a".."c" | "0".."9")+', ["a0", "cc9"], ["d", "A", ""]),
    "terminals of terminals": (
        'start: NAME\nNAME: LETTER (LETTER | DIGIT)*\nLETTER: /[a-z]/\nDIGIT: "0".."9"',
        ["a1"],
        ["1a"],
    ),
    "priorities": ("start: (A | B)+\nA.2: /[ab]/\nB.1: /[bc]/", ["abc"], ["d"]),
    "rule priorities": ('start: x | y\nx.1: "a"\ny.2: "a"', ["a"], ["b"]),
    "left recursion": ('start: start "+" "1" | "1"', ["1", "1+1+1"], ["1+", ""]),
    "nesting": ('start: "(" start ")" | ', ["", "(())"], ["(", "())"]),
    "ambiguous": ('start: start start | "a"', ["a", "aaaa"], ["", "b"]),
    "shortest matches": ('start: STRING ("," STRING)*\nSTRING: /".*?"/', ['""', '"a","b"'], ['"', '"a""b"']),
    "a comment": (
        'start: "a"* \n%ignore /\\/\\*(.|\\n)*?\\*\\//\n%ignore /#[^\\n]*/',
        ["a/* b\n*/a", "a# b"],
        ["a/*", "/*/a"],
    ),
    "first of several": ("start: A B?\nA: /a|ab/\nB: /b|bb/", ["a", "ab"], ["abb", "b"]),
    "common": (
        "start: ESCAPED_STRING | SIGNED_NUMBER | CNAME\n%import common (ESCAPED_STRING, SIGNED_NUMBER, CNAME)",
        ['"a\\"b\\\\"', "-1.5e3", "_a1", '""'],
        ['"a', '"a"b"', '"\\"', "1a", '"a\nb"'],
    ),
    "beyond ascii": ('start: "é" /[ü-ÿ😀]+/ /[^a-z]/', ["éü😀A", "éÿÿ!"], ["éü", "eüA"]),
    "classes": (r"start: /\d\D\w\W\s\S/", ["1aa  a", "\u0663-é!\u2003x"], ["aaa  a", "1aaa a"]),
    "slashes and quotes": (r'start: /a\/"\\/ "\"/\\" /[\/\]]/', ['a/"\\"/\\]'], ["a/"]),
    "import from the library": ('start: "<" value ">"\n%import json.value', ["<[1]>"], ["<>", "1"]),
    "override": ('start: value\n%import json (value, NUMBER)\n%override NUMBER: "7"', ["[7]"], ["[8]"]),
    "extend": ('start: value\n%import json.value\n%extend value: "x" -> x', ["[x]"], ["[y]"]),
}


def lark_parses(spec: Any, text: str) -> bool:
    try:
        spec.value(text)
    except InvalidResult:
        return False
    return True


@cache
def ascii_only(vocabulary: Vocabulary) -> np.ndarray:
    return np.array([max(vocabulary.token_bytes(token), default=0) < 128 for token in range(vocabulary.size)])


def written(constraint: Any, vocabulary: Vocabulary, seed: int) -> str | None:
    chance = random.Random(seed)
    state, ids = constraint.start(), []
    while len(ids) < 120:
        if constraint.is_accepting(state) and (chance.random() < 0.3 or len(ids) > 40):
            return vocabulary.decode(ids)
        allowed = constraint.allowed(state).numpy()
        if not allowed.any():
            return vocabulary.decode(ids) if constraint.is_accepting(state) else None
        plain = allowed & ascii_only(vocabulary)
        choices = np.flatnonzero(plain if plain.any() and chance.random() < 0.9 else allowed)
        ids.append(int(choices[chance.randrange(len(choices))]))
        state = constraint.advance(state, ids[-1])
    return None


@pytest.mark.parametrize("name", [name for name in GRAMMARS if GRAMMARS[name][1]])
def test_what_a_grammar_says_is_enforced(name: str) -> None:
    text, accepted, rejected = GRAMMARS[name]
    spec = lark(text)
    for vocabulary in (BYTES, BPE):
        constraint = spec.compile(vocabulary)
        assert [t for t in accepted if not accepts(constraint, vocabulary, t)] == []
        assert [t for t in rejected if accepts(constraint, vocabulary, t)] == []
    assert [t for t in accepted if not lark_parses(spec, t)] == []
    assert [t for t in rejected if lark_parses(spec, t)] == []


@pytest.mark.parametrize("name", list(GRAMMARS))
def test_lark_parses_whatever_is_written_at_random(name: str) -> None:
    spec = lark(GRAMMARS[name][0])
    texts = [written(spec.compile(vocabulary), vocabulary, seed) for vocabulary in (BYTES, BPE) for seed in range(10)]
    finished = [text for text in texts if text is not None]
    assert finished
    assert [text for text in finished if not lark_parses(spec, text)] == []


@pytest.mark.parametrize("name", ["template", "ignored", "nesting", "shortest matches", "ambiguous"])
def test_a_grammar_keeps_the_laws_of_a_constraint(name: str) -> None:
    text, accepted, rejected = GRAMMARS[name]
    check_constraint(lark(text), BPE, texts_accepted=accepted, texts_rejected=rejected, canonical=True, states=25)


REFUSED = [
    ('start: "a" B\nB: /b(?=c)/', "look-around", (2, 4)),
    ("start: A\n\nA: B\nB: /(?<!a)b/", "look-around", (4, 4)),
    (r"start: /\bword/", "word boundaries", (1, 8)),
    (r"start: /a$/", "anchors", (1, 8)),
    (r"start: /(a)\1/", "back-reference", (1, 8)),
    (r"start: /(?P<q>a)(?P=q)/", "back-reference", (1, 8)),
    (r"start: /a*+b/", "possessive", (1, 8)),
    (r"start: /(?>a)b/", "atomic", (1, 8)),
    (r"start: /[^\s\S]/", "no character", (1, 8)),
    ("start: A\nA: /a+?b*/", "takes only a part", (2, 4)),
    ("start: A\nA: /(a|b)*a(a|b){14}/", "reasonable effort", (2, 4)),
    ("start: A\n%declare A", "declared and not defined", (2, 10)),
    ("start: A\nA: /a?/", "empty text", (2, 4)),
    ('start: "a"\n  | "b', "cannot load", (2, 5)),
    ("start: a\n", "used but not defined", (1, 8)),
    ("start: A", "used but not defined", (1, 8)),
    ("start: /(/", "regular expression", (1, 8)),
    ("start: /[b-a]/", "bad character range", (1, 8)),
    ("start: X\n%import .no_such_file.X", "no grammar", (2, 10)),
    ("start: X\n%import common.NO_SUCH -> X", "used but not defined", (2, 27)),
    ("start: A\nA: B\nB: A", "[Rr]ecursion", (2, 1)),
    ('start: a\na: "x"\na: "y"', "more than once", (2, 1)),
    ('start: a{"x"}\na{y, z}: y z', "template arguments", (1, 1)),
    ('start: ""', "[Ee]mpty", (1, 8)),
    ('first: "a"', "no rule 'start'", (None, None)),
]


@pytest.mark.parametrize(("text", "because", "place"), REFUSED)
def test_what_cannot_be_enforced_is_refused_with_its_place(text: str, because: str, place: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedGrammar, match=because) as caught:
        lark(text)
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize("text", ['start: "a" start', 'start: x\nx: y\ny: x "b"'])
def test_a_grammar_without_any_text_is_unsatisfiable(text: str) -> None:
    with pytest.raises(Unsatisfiable, match="never comes to an end"):
        lark(text)


def test_rules_that_never_end_are_never_begun() -> None:
    constraint = lark('start: "a" | "b" dead\ndead: "c" dead').compile(BYTES)
    assert np.flatnonzero(constraint.allowed(constraint.start()).numpy()).tolist() == [ord("a")]


def test_terminals_are_read_longest_first() -> None:
    spec = lark('start: "a" "b" | "abc"')
    assert lark_parses(spec, "ab")
    assert not accepts(spec.compile(BYTES), BYTES, "ab")  # after "ab", the longer terminal could still go on
    assert accepts(spec.compile(BYTES), BYTES, "abc")


def test_whether_a_terminal_can_go_on_is_told_by_bytes() -> None:
    spec = lark('start: /[ü]+/ ("é" | "e")')
    assert lark_parses(spec, "üé")
    assert not accepts(spec.compile(BYTES), BYTES, "üé")  # both letters begin with the same byte in UTF-8
    assert accepts(spec.compile(BYTES), BYTES, "üe")


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ('start: NAME | "in" NAME\nNAME: /[a-z]+/', "can both begin with 'in'"),
        ('start: A "!" | B "?"\nA: /a/\nB: /ab/', "can both begin with 'a'"),
        ('start: "if" start ["else" start] | "x"\n%ignore " "', "conflict"),
    ],
)
def test_what_lalr_would_leave_out_is_refused(text: str, because: str) -> None:
    with pytest.raises(UnsupportedGrammar, match=because) as caught:
        lark(text, parser="lalr")
    assert "parser='earley'" in caught.value.because
    assert caught.value.line is not None
    assert isinstance(lark(text), LarkGrammar)


def test_lalr_parses_what_is_written_for_it() -> None:
    spec = lark(
        'start: pair ("," pair)*\npair: NAME "=" NUMBER\nNAME: /[a-z]+/\nNUMBER: /[0-9]+/\n%ignore " "', parser="lalr"
    )
    constraint = spec.compile(BYTES)
    texts = [written(constraint, BYTES, seed) for seed in range(60)]
    assert sum(text is not None for text in texts) > 30
    assert all(lark_parses(spec, text) for text in texts if text is not None)


def test_another_rule_can_be_the_start() -> None:
    text = 'start: "a" other\nother: "b"'
    assert accepts(lark(text, start="other").compile(BYTES), BYTES, "b")
    with pytest.raises(UnsupportedGrammar, match="no rule 'third'"):
        lark(text, start="third")


def test_a_file_is_read_and_imports_from_beside_it(tmp_path: Path) -> None:
    (tmp_path / "words.lark").write_text('WORD: /[a-z]+/\nrule: WORD "!"\n')
    (tmp_path / "main.lark").write_text("start: rule+\n%import .words.rule\n")
    for given in (tmp_path / "main.lark", str(tmp_path / "main.lark")):
        assert accepts(as_spec(given).compile(BYTES), BYTES, "ab!c!")
    (tmp_path / "words.lark").write_text('WORD: /[a-z]+/\nrule: WORD "?"\n')
    assert accepts(lark(tmp_path / "main.lark").compile(BYTES), BYTES, "ab?")
    assert accepts(lark("start: WORD\n%import words.WORD", import_paths=[str(tmp_path)]).compile(BYTES), BYTES, "ab")


def test_what_an_imported_terminal_cannot_do_is_said_where_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "words.lark").write_text("WORD: /a(?!b)/\n")
    with pytest.raises(UnsupportedGrammar, match="look-around") as caught:
        lark("start: WORD\n%import words.WORD", import_paths=[str(tmp_path)])
    assert (caught.value.line, caught.value.column) == (2, 15)


@pytest.mark.parametrize("source", ["", "  ", None, 3, b'start: "a"', "no_such_file.lark", Path("no_such_file.lark")])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(BadOption, match="lark: "):
        lark(source)


@pytest.mark.parametrize("options", [{"parser": "cyk"}, {"start": ""}, {"start": None}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    for source in ("json", 'start: "a"', "a-plugins-grammar"):
        with pytest.raises(BadOption, match="lark: "):
            lark(source, **options)


def test_a_large_grammar_is_loaded_once() -> None:
    first, second = lark("sql_select"), lark("sql_select")
    assert isinstance(first, LarkGrammar)
    assert isinstance(second, LarkGrammar)
    assert first == second
    assert first._loaded is second._loaded
