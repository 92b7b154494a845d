"""The tokenizers that come with ``decodeplug.testing``."""

from __future__ import annotations

from typing import Any

import llguidance.hf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from decodeplug.testing import bpe_tokenizer, byte_tokenizer

BYTES, BPE = byte_tokenizer(), bpe_tokenizer()
BOTH = pytest.mark.parametrize("tokenizer", [BYTES, BPE], ids=["bytes", "bpe"])


@BOTH
@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
def test_the_ids_of_the_byte_tokenizer_are_the_bytes(text: str) -> None:
    assert bytes(BYTES.encode(text)) == text.encode()


@BOTH
def test_the_special_tokens_come_last_and_nothing_is_unknown(tokenizer: Any) -> None:
    size = len(tokenizer)
    assert [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id] == [size - 3, size - 2, size - 1]
    assert tokenizer.unk_token_id is None
    assert tokenizer.encode("a<|end|>")[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(tokenizer.encode("a<|end|>"), skip_special_tokens=True) == "a"


@BOTH
def test_chat_messages_become_lines(tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "system: Be brief.\nuser: Who?\nassistant: "


def test_the_bpe_tokenizer_has_tokens_of_several_bytes_and_other_spellings() -> None:
    text = '{"first_name": "Bruno", "age": 4}'
    spelling = BPE.encode(text)
    assert len(spelling) < 0.6 * len(text)
    assert BPE.decode(list(text.encode())) == text
    assert bpe_tokenizer().get_vocab() == BPE.get_vocab()


@pytest.mark.parametrize("size", [256, 300, 700])
def test_the_bpe_tokenizer_has_the_size_asked_for(size: int) -> None:
    assert len(bpe_tokenizer(size)) == size + 3


@pytest.mark.parametrize("size", [255, 100_000])
def test_a_size_that_cannot_be_had_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size={size}, but wanted 256 to"):
        bpe_tokenizer(size)


@BOTH
@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        (LLMatcher.grammar_from_regex("[a-c]+é"), "abcé"),
        (LLMatcher.grammar_from_json_schema({"type": "array", "items": {"type": "integer"}}), "[1, 22, 333]"),
    ],
    ids=["regex", "schema"],
)
def test_the_mask_engine_understands_it(tokenizer: Any, grammar: str, text: str) -> None:
    matcher = LLMatcher(llguidance.hf.from_tokenizer(tokenizer), grammar)
    for token in tokenizer.encode(text):
        assert matcher.consume_token(token)
    assert matcher.is_accepting()
