"""Text that the model writes itself, and text that is given: rows to learn from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from decodeplug import Host
from decodeplug.errors import BadOption, UnsupportedModel
from decodeplug.heads import Row, self_written
from decodeplug.heads.frozen import Frozen
from decodeplug.heads.texts import counted, held_out, rows_of
from decodeplug.heads.writing import FILE, HIDDEN, openings
from decodeplug.testing import bpe_tokenizer, tiny_model
from decodeplug.testing.families import family_model

NEW = 40  # ids of a text at most, in these tests


@pytest.fixture(scope="module")
def writer() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer)), tokenizer, plugins=[])


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decodeplug.heads.writing._NEW_TOKENS", NEW)
    monkeypatch.setattr("decodeplug.heads.writing._TEXTS", 32)


def test_openings_differ_and_a_batch_of_them_is_mixed(writer: Host) -> None:
    begun = [opening[0]["content"] for opening in openings(writer.tokenizer)]
    assert len(set(begun)) == len(begun) == 1920
    assert len({opening.split()[0] for opening in begun[:32]}) >= 7
    assert len({opening.split()[-1] for opening in begun[:32]}) >= 20


def test_without_a_chat_template_openings_are_plain_text(writer: Host) -> None:
    tokenizer = bpe_tokenizer()
    tokenizer.chat_template = None
    assert all(isinstance(opening, str) for opening in openings(tokenizer))


def test_texts_are_greedy_and_sampled_in_turn_and_follow_the_seed(writer: Host, tmp_path: Path) -> None:
    rows = self_written(writer, 100, tmp_path / "a", seed=3)
    begun = openings(writer.tokenizer)
    for number in (4, 5):
        sampling = {"do_sample": True, "seed": (3 << 32) + 5} if number == 5 else {}
        result = writer.generate(begun[number], max_new_tokens=NEW, drafters=[], **sampling)
        assert list(rows[number].ids) == [*result.prompt_ids, *result.token_ids]
        assert rows[number].start == len(result.prompt_ids)


def test_what_was_written_is_not_written_again(writer: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    rows = self_written(writer, 100, tmp_path, tell=told.append)
    assert told[0] == 0
    assert told[-1] == sum(len(row.ids) - row.start for row in rows) >= 100
    with monkeypatch.context() as patch:
        patch.setattr(writer, "run", None)
        again = self_written(writer, 100, tmp_path)
    assert [list(row.ids) for row in again] == [list(row.ids) for row in rows]
    more = self_written(writer, told[-1] + 1, tmp_path)
    assert [list(row.ids) for row in more[: len(rows)]] == [list(row.ids) for row in rows]
    assert len(more) == len(rows) + 32


def test_hidden_states_are_kept_while_the_texts_are_written(
    writer: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = self_written(writer, 100, tmp_path / "without")
    rows = self_written(writer, 1400, tmp_path / "with", hidden=True)
    assert len(rows) == 64
    assert all(row.hidden is None for row in without)
    frozen = Frozen(writer.target)
    for row in (rows[0], rows[3], rows[-1]):
        assert row.hidden is not None
        assert not row.hidden.is_inference()
        torch.testing.assert_close(row.hidden[:-1], frozen.read(row.ids)[:-1], rtol=0, atol=1e-5)
        assert not row.hidden[-1].any(), "no forward has seen the last id"
    monkeypatch.setattr(writer, "run", None)
    again = self_written(writer, 1400, tmp_path / "with", hidden=True)
    assert all(_equal(one, other) for one, other in zip(rows, again, strict=True))
    (tmp_path / "with" / HIDDEN.format(32)).unlink()
    some = self_written(writer, 1400, tmp_path / "with", hidden=True)
    assert [row.hidden is None for row in some] == [False] * 32 + [True] * 32


def _equal(one: Row, other: Row) -> bool:
    return (
        one == other and one.hidden is not None and other.hidden is not None and torch.equal(one.hidden, other.hidden)
    )


def test_no_more_hidden_states_are_kept_than_there_is_room_for(
    writer: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decodeplug.heads.writing.MOST_BYTES", 1)
    rows = self_written(writer, 1400, tmp_path, hidden=True)
    assert [row.hidden is None for row in rows] == [False] * 32 + [True] * 32


def test_hidden_states_of_other_texts_are_not_taken_for_theirs(writer: Host, tmp_path: Path) -> None:
    self_written(writer, 50, tmp_path, hidden=True)
    (tmp_path / FILE).unlink()
    others = self_written(writer, 50, tmp_path, seed=1)
    assert self_written(writer, 50, tmp_path, seed=1, hidden=True) == others
    assert all(row.hidden is None for row in self_written(writer, 50, tmp_path, seed=1, hidden=True))


def test_a_model_whose_output_layer_reads_something_else_is_refused_before_it_writes(tmp_path: Path) -> None:
    tokenizer = bpe_tokenizer()
    model = family_model("bert", vocab_size=len(tokenizer))
    with pytest.raises(UnsupportedModel, match="what its output layer reads"):
        self_written(Host(model, tokenizer, plugins=[]), 50, tmp_path, hidden=True)
    assert not list(tmp_path.iterdir())


def test_text_of_another_seed_or_model_is_refused(writer: Host, tmp_path: Path) -> None:
    self_written(writer, 50, tmp_path)
    with pytest.raises(BadOption, match=f"whose {FILE} is of this model and seed"):
        self_written(writer, 50, tmp_path, seed=1)
    tokenizer = bpe_tokenizer()
    other = Host(tiny_model(vocab=len(tokenizer), seed=1), tokenizer, plugins=[])
    with pytest.raises(BadOption, match="of this model and seed"):
        self_written(other, 50, tmp_path)


def test_long_texts_are_cut_into_rows_and_the_start_stays_where_it_was() -> None:
    rows = rows_of([Row(range(50), 12), Row(range(100, 110)), Row(range(7))], 20)
    assert [(row.ids[0], len(row.ids), row.start) for row in rows] == [
        (0, 20, 12),
        (20, 20, 0),
        (40, 10, 0),
        (100, 10, 0),
    ]


def test_every_sixteenth_row_is_held_out() -> None:
    rows = [Row([number] * 8) for number in range(33)]
    learned, unseen = held_out(rows)
    assert [row.ids[0] for row in unseen] == [15, 31]
    assert len(learned) == 31
    assert [len(part) for part in held_out(rows[:3])] == [2, 1]


def test_ids_before_the_start_are_not_counted() -> None:
    assert counted([Row([1, 1, 2, 2, 3], 2), Row([3])]) == {2: 2, 3: 2}
