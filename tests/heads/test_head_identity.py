"""Heads know their model again, and refuse every other one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from decodeplug.errors import BadOption, IncompatibleParts, UnsupportedModel
from decodeplug.heads import Heads, loaded
from decodeplug.identity import Identity, fingerprint
from decodeplug.testing import tiny_model

MakeHeads = Callable[..., Heads]


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (lambda: tiny_model(seed=1), "the weights of the embedding and the weights of the output layer"),
        (lambda: tiny_model(hidden=32), r"hidden_size \(64, here 32\)"),
        (lambda: tiny_model(vocab=300), r"vocab_size \(259, here 300\)"),
        (lambda: tiny_model("gpt2"), r"model_type \(llama, here gpt2\)"),
    ],
    ids=["weights", "hidden size", "vocabulary", "family"],
)
def test_another_model_is_refused_with_what_differs(
    make_heads: MakeHeads, tmp_path: Path, other: Callable[[], Any], differs: str
) -> None:
    make_heads("recurrent").save(tmp_path, {})
    with pytest.raises(IncompatibleParts, match=differs) as caught:
        Heads.load(tmp_path, other())
    assert "train-heads" in caught.value.instead


def test_a_model_whose_output_layer_alone_was_changed_is_refused(make_heads: MakeHeads, model: Any) -> None:
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.lm_head.weight.mul_(1.1)
    with pytest.raises(IncompatibleParts, match="other the weights of the output layer"):
        make_heads("independent").identity.check(changed, "heads", "train-heads")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_weights_in_another_dtype_are_the_same_model(model: Any, dtype: torch.dtype) -> None:
    # Saved in float32 and loaded in another dtype, as checkpoints are.
    saved = copy.deepcopy(model).to(torch.float32)
    Identity.of(saved).check(copy.deepcopy(saved).to(dtype), "heads", "train-heads")


def test_a_model_whose_output_layer_cannot_be_read_is_unsupported(model: Any) -> None:
    packed = copy.deepcopy(model)
    packed.lm_head.weight = torch.nn.Parameter(torch.zeros(8, 8, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(UnsupportedModel, match="the rows of its output layer"):
        Identity.of(packed)


@pytest.mark.parametrize("kind", ["independent", "recurrent"])
def test_what_is_loaded_is_what_was_saved(make_heads: MakeHeads, model: Any, tmp_path: Path, kind: str) -> None:
    heads = make_heads(kind)
    heads.save(tmp_path, {"step": 3})
    again = Heads.load(tmp_path, model)
    assert again.kind == kind
    assert again.count == heads.count
    assert torch.equal(again.vocabulary.ids, heads.vocabulary.ids)
    assert torch.equal(again.output.rows, heads.output.rows)
    for one, other in zip(heads.part.state_dict().values(), again.part.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_rows_of_the_output_layer_are_not_in_the_file(make_heads: MakeHeads, tmp_path: Path) -> None:
    heads = make_heads("independent", count=1)
    heads.save(tmp_path, {})
    learned = sum(parameter.numel() for parameter in heads.part.parameters())
    assert (tmp_path / "heads.safetensors").stat().st_size < 4 * learned + 8 * len(heads.vocabulary) + 2000


def test_heads_are_loaded_once_until_the_file_changes(make_heads: MakeHeads, model: Any, tmp_path: Path) -> None:
    make_heads("independent").save(tmp_path, {})
    first = loaded(tmp_path, model)
    assert loaded(str(tmp_path), model) is first
    make_heads("recurrent").save(tmp_path, {})
    assert loaded(tmp_path, model).kind == "recurrent"


def test_several_heads_of_one_model_are_kept_and_the_oldest_is_given_up(
    make_heads: MakeHeads, model: Any, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        make_heads("independent").save(tmp_path / str(number), {})
    first, *others = [loaded(tmp_path / str(number), model) for number in range(5)]
    assert [loaded(tmp_path / str(number), model) for number in range(1, 5)] == others
    assert loaded(tmp_path / "0", model) is not first


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all"])
def test_a_folder_without_heads_is_a_bad_option(model: Any, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "heads.safetensors").write_bytes(content)
    with pytest.raises(BadOption, match="train-heads"):
        Heads.load(tmp_path, model)


def test_a_fingerprint_looks_at_all_of_the_largest_weights() -> None:
    rows = 28_311_552  # so many numbers that float32 cannot count them
    part = torch.nn.Embedding(rows, 1, dtype=torch.bfloat16)
    before = fingerprint(part)
    with torch.no_grad():
        part.weight[rows // 16 * 15] += 1
    assert fingerprint(part) != before
