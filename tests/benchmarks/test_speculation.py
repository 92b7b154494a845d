"""What drafters are judged by: fifty prompts of five kinds, and the formula of a true assistant."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from typing import Any

import pytest
from contestants import Models
from speculation import Counted, counts, free_width
from speculation_cases import CASES, KINDS
from speculation_formula import FormulaRow, farthest, formula_rows

from decodeplug import Host
from decodeplug.heads.writing import _SUBJECTS
from decodeplug.testing import byte_tokenizer, tiny_model


def test_where_width_is_free_the_counts_depend_on_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer: Any = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    host = Host(tiny_model(vocab=len(tokenizer), max_position_embeddings=2048), tokenizer, plugins=[])
    before, found = host._runner._costs, []
    for tick in (1e-3, 3.0):
        clock = itertools.count()
        monkeypatch.setattr(time, "perf_counter", lambda clock=clock, tick=tick: next(clock) * tick)
        with free_width(host):
            found.append(counts(Models(host.model, tokenizer, host), CASES[20], {"none": [], "lookup": ["lookup"]}))
    assert found[0] == found[1]
    assert found[0][0]["lookup"] < found[0][0]["none"] == 1
    assert host._runner._costs is before


def test_medians_and_what_is_judged_are_those_of_each_kind() -> None:
    cases = [next(case for case in CASES if case.kind == kind) for kind in KINDS for _ in range(3)]
    figures = [{"lookup": 0.5, "all": place / 10} for place in range(15)]
    counted = Counted(cases, figures, [True] * 14 + [False])
    assert [counted.medians(kind)["all"] for kind in KINDS] == pytest.approx([0.1, 0.4, 0.7, 1.0, 1.3])
    assert counted.fewer(KINDS[1], "all") == "2 of 3"
    judged = counted.to_judge()
    assert judged.pop("same_text_share_at_least") == pytest.approx(14 / 15)
    assert judged == {f"{kind}_at_most": counted.medians(kind)["all"] for kind in KINDS}


def test_there_are_ten_different_prompts_of_each_kind() -> None:
    assert Counter(case.kind for case in CASES) == dict.fromkeys(KINDS, 10)
    assert len({str(case.prompt) for case in CASES}) == len({(case.kind, case.name) for case in CASES}) == 50
    assert all((case.schema is not None) == (case.kind == "json") for case in CASES)


def test_no_unseen_question_is_about_a_subject_that_heads_are_trained_on() -> None:
    common = {"and", "the", "for", "old", "new", "large", "small", "into"}
    subjects = {word.rstrip("s") for subject in _SUBJECTS for word in re.findall("[a-z]{3,}", subject)} - common
    unseen = [str(case.prompt[0]["content"]) for case in CASES if case.kind == "unseen"]
    assert not {word.rstrip("s") for text in unseen for word in re.findall("[a-z]{3,}", text.lower())} & subjects


@pytest.mark.parametrize(
    ("acceptance", "g", "expected"), [(0.5, 1, 1.5), (0.5, 3, 1.875), (0.0, 4, 1.0), (1.0, 4, 5.0)]
)
def test_the_expected_tokens_are_those_of_the_geometric_sum(acceptance: float, g: int, expected: float) -> None:
    assert FormulaRow(g, acceptance, 1.0, 0.0).expected == pytest.approx(expected)


def test_a_true_assistant_saves_the_forwards_that_its_acceptance_makes_expected() -> None:
    rows = formula_rows(texts=8)
    assert [row.g for row in rows] == [1, 2, 3, 5, 8]
    assert all(0.3 < row.acceptance < 0.95 and row.per_forward > 1.3 for row in rows)
    assert farthest(rows) < 0.1


def test_the_farthest_row_counts_whichever_side_it_is_on() -> None:
    rows = [FormulaRow(1, 0.5, 1.5, 0.0), FormulaRow(1, 0.5, 1.35, 0.0), FormulaRow(1, 0.5, 1.56, 0.0)]
    assert farthest(rows) == pytest.approx(0.1)
