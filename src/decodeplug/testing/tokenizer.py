"""Small tokenizers that need no download: bytes, and a byte-level BPE trained in memory."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["BOS", "END", "PAD", "bpe_tokenizer", "byte_alphabet", "byte_tokenizer"]

PAD, BOS, END = "<|pad|>", "<|bos|>", "<|end|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

# JSON, prose and code in a few lines: what tests write. Merges are learned from it alone.
TRAINING_TEXT = (
    '{"first_name": "Bruno", "last_name": "Honig", "age": 4, "hobby": "collecting honey", "favourite_books": ["The Moon", "Bears"]}',
    '{"name": "Ada", "tags": ["red", "green", "blue"], "price": 12.5, "in_stock": true, "note": null, "items": [{"id": 1}, {"id": 2}]}',
    '{\n  "type": "object",\n  "properties": {\n    "city": {"type": "string"},\n    "count": {"type": "integer"}\n  }\n}',
    "The quick brown bear reads a book about the moon and the other bear reads about honey and the sea.",
    "Once there was a small bear who lived in the forest. She said: where is the river? There, there, the others said quietly, following the water downstream.",
    "def total(items): return sum(item.price for item in items if item.in_stock)",
    "A recipe for bread: mix flour, water and salt, wait an hour, then bake at 220 degrees until the crust is golden brown.",
    "Please describe your favourite teddy bear: its first name, last name, age, hobby and the title of every favourite book.",
    "The answer is forty-two, because six times seven makes forty-two; however, nobody remembered which question was asked.",
    '{"customer": {"street": "Station Road 7", "email": "nobody@example.org"}, "invoice": {"number": "A-1007", "total": 99.95, "currency": "EUR"}}',
    '{"$defs": {"person": {"required": ["first_name", "last_name"], "additionalProperties": false, "minItems": 1, "maxLength": 40, "enum": []}}}',
    "SELECT name, price FROM products WHERE category = 'garden' ORDER BY price DESC LIMIT 10;",
    "Weather today: cloudy with sunny intervals, light wind from the south-west, temperatures between twelve and seventeen degrees.",
    "import json\n\nclass Reader:\n    def __init__(self, path):\n        self.path = path\n        return None\n",
    "2024-01-31T10:15:00Z, 2025-12-24T18:30:00Z; 0, 1, 10, 100, 1000; true false true false null null",
)


def byte_alphabet() -> list[str]:
    """The character that byte-level tokenizers write for each byte, in the order of the bytes.

    Printable Latin-1 stands for itself; the others take the code points from 256 on, in order
    (the convention of GPT-2's vocabulary, which every byte-level tokenizer follows).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _byte_level(vocabulary: dict[str, int], merges: list[tuple[str, str]], *, words: bool) -> Tokenizer:
    """A byte-level BPE; ``words``: split into words first, so that no merge crosses them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _as_transformers(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    # Added here in this order: PreTrainedTokenizerFast alone would add them as it pleases.
    tokenizer.add_special_tokens([PAD, BOS, END])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=END,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A fresh tokenizer whose ids 0..255 are the bytes, then pad 256, bos 257 and end 258.

    ``decode(encode(text)) == text`` for any text; nothing is added to a prompt, nothing
    is unknown. Chat messages become ``role: content`` lines.
    """
    return _as_transformers(_byte_level({char: byte for byte, char in enumerate(byte_alphabet())}, [], words=False))


def bpe_tokenizer(size: int = 512) -> PreTrainedTokenizerFast:
    """A fresh byte-level BPE tokenizer with many tokens of several bytes.

    :param size: Ids below the special ones: the 256 bytes (id = byte), then merges learned
        from a built-in text, the commonest first. Pad, bos and end follow.
    :raises ValueError: ``size`` is below 256, or the built-in text has not so many merges.
    """
    merges = list(_learned_merges()[: max(size - 256, 0)])
    if size < 256 or len(merges) < size - 256:
        raise ValueError(f"bpe_tokenizer: size={size}, but wanted 256 to {256 + len(_learned_merges())}")
    vocabulary = {char: byte for byte, char in enumerate(byte_alphabet())}
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    return _as_transformers(_byte_level(vocabulary, merges, words=True))


@cache
def _learned_merges() -> tuple[tuple[str, str], ...]:
    """The merges that the built-in text teaches, no two of which make the same token."""
    from tokenizers import trainers

    trained = _byte_level({}, [], words=True)
    trainer = trainers.BpeTrainer(vocab_size=2048, initial_alphabet=byte_alphabet(), show_progress=False)
    trained.train_from_iterator(TRAINING_TEXT, trainer)
    made: set[str] = set()
    merges: list[tuple[str, str]] = []
    for pair in json.loads(trained.to_str())["model"]["merges"]:
        left, right = pair
        if left + right not in made:
            made.add(left + right)
            merges.append((left, right))
    return tuple(merges)
