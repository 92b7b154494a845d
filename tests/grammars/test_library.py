"""The library of grammars: every sample, and texts written at random."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from grammars.random_texts import random_text

from decodeplug import lark
from decodeplug.constraints import LarkGrammar, MaskConstraint, accepts
from decodeplug.errors import InvalidResult, UnknownPart
from decodeplug.grammar_library import find_grammar, library
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_constraint
from decodeplug.vocabulary import Vocabulary

BYTES = Vocabulary(byte_tokenizer(), 259, {258})
BPE = Vocabulary(bpe_tokenizer(), 515, {514})
FOLDER = Path(__file__).parents[2] / "grammars"
NAMES = sorted(path.stem for path in FOLDER.glob("*.lark"))
SAMPLES = sorted(path for kind in ("accept", "reject") for path in FOLDER.glob(f"*/{kind}/*.txt"))


@cache
def grammar(name: str) -> tuple[LarkGrammar, MaskConstraint]:
    spec = lark(name)
    assert isinstance(spec, LarkGrammar)
    return spec, spec.compile(BYTES)


def samples(name: str, kind: str) -> list[str]:
    return [path.read_bytes().decode() for path in sorted((FOLDER / name / kind).glob("*.txt"))]


def test_the_library_is_the_folder() -> None:
    assert [known.name for known in library()] == NAMES
    assert len(NAMES) >= 13
    assert all(known.summary() for known in library())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: "/".join(path.relative_to(FOLDER).with_suffix("").parts))
def test_a_sample_is_accepted_or_rejected_by_the_masks_and_by_lark_alike(path: Path) -> None:
    spec, constraint = grammar(path.parts[-3])
    text, right = path.read_bytes().decode(), path.parts[-2] == "accept"
    assert accepts(constraint, BYTES, text) == right
    if right:
        assert spec.value(text) is not None
    else:
        with pytest.raises(InvalidResult, match="Lark does not parse it"):
            spec.value(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_grammar_has_samples_of_both_kinds_an_empty_text_among_them(name: str) -> None:
    accepted, rejected = samples(name, "accept"), samples(name, "reject")
    assert len(accepted) >= 4
    assert len(rejected) >= 6
    assert "" in accepted + rejected


def _check_random_texts(name: str, count: int) -> None:
    spec, constraint = grammar(name)
    finished = 0
    for seed in range(count):
        text = random_text(constraint, BYTES, seed)
        if text is not None:
            finished += 1
            assert spec.value(text) is not None, text
    assert finished >= count // 3


@pytest.mark.parametrize("name", NAMES)
def test_lark_parses_what_is_written_at_random(name: str) -> None:
    _check_random_texts(name, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_lark_parses_hundreds_of_texts_that_are_written_at_random(name: str) -> None:
    _check_random_texts(name, 500)


@pytest.mark.parametrize("name", NAMES)
def test_every_grammar_keeps_the_laws_of_a_constraint(name: str) -> None:
    accepted, rejected = samples(name, "accept")[:4], samples(name, "reject")
    spec, _ = grammar(name)
    options = {"texts_accepted": accepted, "texts_rejected": rejected, "canonical": True}
    check_constraint(spec, BPE, **options, states=12)


@pytest.mark.parametrize("name", ["json", "arithmetic"])
def test_lalr_accepts_the_same_samples_where_it_is_not_refused(name: str) -> None:
    spec = lark(name, parser="lalr")
    constraint = spec.compile(BYTES)
    for text in samples(name, "accept"):
        assert accepts(constraint, BYTES, text)
        assert spec.value(text) is not None
    for text in samples(name, "reject"):
        assert not accepts(constraint, BYTES, text)


def test_a_name_may_be_written_with_dashes() -> None:
    assert lark("sql-select") == lark("sql_select")
    assert find_grammar("sql-select").name == "sql_select"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownPart) as caught:
        lark("sql_selct").compile(BYTES)
    assert caught.value.nearest[0] == "sql_select"
