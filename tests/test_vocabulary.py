"""Which bytes each id stands for, whatever the tokenizer."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

from decodeplug.errors import BadOption, UnsupportedModel, VocabularyMismatch
from decodeplug.testing import bpe_tokenizer, byte_tokenizer
from decodeplug.vocabulary import Vocabulary, check_fits

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def llama_like() -> PreTrainedTokenizerFast:
    """Pieces with ``▁`` for spaces and ``<0x0A>`` for bytes that no piece has, as SentencePiece models have them."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *'▁abcdeino{}":,0123']
    merges = [("▁", "a"), ("a", "b"), ("▁", "{"), ("n", "o")]
    ids = {piece: index for index, piece in enumerate(pieces + ["".join(pair) for pair in merges])}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


class Slow(PreTrainedTokenizer):
    """A tokenizer in Python whose tokens are single characters, with a special one at the end."""

    def __init__(self, alphabet: str, **options: Any) -> None:
        self.alphabet = alphabet
        super().__init__(eos_token="<end>", **options)

    @property
    def vocab_size(self) -> int:
        return len(self.alphabet)

    def get_vocab(self) -> dict[str, int]:
        return {char: index for index, char in enumerate(self.alphabet)} | dict(self.added_tokens_encoder)

    def _tokenize(self, text: str, **options: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.alphabet.index(token)

    def _convert_id_to_token(self, index: int) -> str:
        return self.alphabet[index]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens)


class Misleading(Slow):
    """Its decoder says other than its tokens."""

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(tokens).upper()


VOCABULARIES = {
    "bytes": Vocabulary(byte_tokenizer(), 259, {258}),
    "bpe": Vocabulary(bpe_tokenizer(), 600, {514}),
    "llama": Vocabulary(llama_like(), 400, {2}),
}


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
def test_encoded_ids_spell_exactly_the_text(name: str, text: str) -> None:
    vocabulary = VOCABULARIES[name]
    ids = vocabulary.encode(text)
    assert b"".join(vocabulary.token_bytes(token) for token in ids) == text.encode()
    assert vocabulary.decode(ids) == text
    assert not vocabulary.never_allowed.intersection(ids)


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("text", [" a", "  ", "", "{", "<|end|>", "</s>", "<0x0A>", "▁a", "é", "\n", "a</s>b"])
def test_texts_that_tokenizers_like_to_change_are_spelled_as_they_are(name: str, text: str) -> None:
    assert VOCABULARIES[name].decode(VOCABULARIES[name].encode(text)) == text


def test_the_tokenizers_own_ids_are_used_where_they_spell_the_text() -> None:
    tokenizer = bpe_tokenizer()
    text = '{"first_name": "Bruno"}'
    assert Vocabulary(tokenizer, 600).encode(text) == tokenizer.encode(text)


def test_special_and_padded_ids_are_no_bytes() -> None:
    vocabulary = VOCABULARIES["bpe"]
    assert [vocabulary.token_bytes(token) for token in (512, 513, 514, 515, 599, -1)] == [b""] * 6
    assert vocabulary.decode([104, 512, 105, 514, 599]) == "hi"


def test_padded_logits_are_not_part_of_the_vocabulary() -> None:
    assert Vocabulary(byte_tokenizer(), 320, {258}).size == 259
    assert Vocabulary(byte_tokenizer(), 257).size == 257


def test_half_a_character_is_shown_as_such() -> None:
    assert VOCABULARIES["bytes"].decode("é".encode()[:1]) == "\ufffd"


def test_a_text_with_surrogates_cannot_be_spelled() -> None:
    with pytest.raises(BadOption, match="without surrogates"):
        VOCABULARIES["bytes"].encode("a\ud800")


def test_an_end_id_without_a_logit_is_refused() -> None:
    with pytest.raises(BadOption, match=r"end_ids=\[300\].*ids below 259"):
        Vocabulary(byte_tokenizer(), 259, {300})


def test_equal_tokenizers_have_equal_fingerprints_and_others_have_not() -> None:
    same = [Vocabulary(byte_tokenizer(), 259, {258}).fingerprint for _ in range(2)]
    others = [
        Vocabulary(byte_tokenizer(), 259, {257}).fingerprint,
        Vocabulary(byte_tokenizer(), 258, {257}).fingerprint,
        Vocabulary(bpe_tokenizer(), 600, {258}).fingerprint,
    ]
    assert same[0] == same[1]
    assert len({same[0], *others}) == 4


def test_the_engines_tokenizer_is_built_once_however_many_threads_ask() -> None:
    vocabulary = Vocabulary(bpe_tokenizer(), 515, {514})
    built = []
    threads = [threading.Thread(target=lambda: built.append(vocabulary.engine())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(engine) for engine in built}) == 1


def test_padding_and_truncation_of_the_tokenizer_are_left_alone() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    Vocabulary(tokenizer, 259, {258}).engine()
    assert tokenizer.backend_tokenizer.truncation is not None


def test_a_tokenizer_without_any_special_token_works() -> None:
    backend = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate("abc")}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    vocabulary = Vocabulary(PreTrainedTokenizerFast(tokenizer_object=backend), 3)
    assert vocabulary.encode("abcab") == [0, 1, 2, 0, 1]
    assert vocabulary.never_allowed == frozenset()


def test_a_slow_tokenizer_is_read_by_its_tokens() -> None:
    vocabulary = Vocabulary(Slow("abcé€ {}"), 16)
    assert vocabulary.encode("a é€") == [0, 5, 3, 4]
    assert vocabulary.token_bytes(4) == "€".encode()
    assert vocabulary.decode([0, 5, 3, 4]) == "a é€"


def test_a_tokenizer_that_cannot_be_read_as_bytes_is_refused_with_an_example() -> None:
    with pytest.raises(UnsupportedModel, match=r"Misleading.*cannot be read as bytes.*'A', read as 'a'"):
        Vocabulary(Misleading("abc"), 16).engine()


def test_a_text_with_characters_that_no_id_has_is_refused() -> None:
    backend = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(BadOption, match="can spell"):
        Vocabulary(PreTrainedTokenizerFast(tokenizer_object=backend), 2).encode("abc")


def test_a_tokenizer_with_more_ids_than_logits_is_of_another_model() -> None:
    with pytest.raises(VocabularyMismatch, match="ids 200 to 258 have no logit") as caught:
        check_fits(byte_tokenizer(), 200)
    assert (caught.value.tokenizer_size, caught.value.model_size) == (259, 200)


@pytest.mark.parametrize("width", [259, 260, 320])
def test_a_tokenizer_with_as_many_or_fewer_ids_fits(width: int) -> None:
    check_fits(byte_tokenizer(), width)


def test_a_special_token_can_be_spoken_of_by_its_name() -> None:
    tokenizer = bpe_tokenizer()
    tokenizer.add_tokens(["[MARK]"], special_tokens=True)
    tokenizer.add_tokens(["[TEXT]"])
    vocabulary = Vocabulary(tokenizer, 600, {514})
    assert [vocabulary.special_id(name) for name in ("[MARK]", "[TEXT]", "a", "<|end|>")] == [515, None, None, None]
    ids = [104, 515, 515, 105, 512]
    assert (vocabulary.decode(ids), vocabulary.decode(ids, {515})) == ("hi", "h[MARK][MARK]i")
    assert vocabulary.encode("h[MARK]i", {515}) == [104, 515, 105]
    assert 515 not in vocabulary.encode("h[MARK]i")
    assert Vocabulary(tokenizer, 515, {514}).special_id("[MARK]") is None
