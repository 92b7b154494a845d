"""Text that the model itself writes: the best text to train its heads on, and none has to be found.

Heads learn to foresee what one model writes. Text that it wrote itself has its own words, its own
mistakes and its own frequencies (arXiv:2401.10774, section 2.3.2, calls it self-distillation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from decodeplug.errors import BadOption
from decodeplug.files import read_tensors, write_tensors
from decodeplug.heads.texts import Row
from decodeplug.heads.trained import WRITTEN
from decodeplug.identity import Identity

__all__ = ["FILE", "openings", "self_written"]

FILE = "text.safetensors"
_TEXTS = 128  # that are asked for at once, and kept together
_NEW_TOKENS = 208  # of one text: with its prompt, one row of the usual width

_FORMS = (
    "Write a short story about {}.",
    "Explain {} to a child.",
    "What should everybody know about {}?",
    "Give five facts about {}.",
    "Write an email to a friend about {}.",
    "List the steps of a plan for {}.",
    "Write a dialogue about {}.",
    "What are the advantages and disadvantages of {}?",
    "Describe {} in detail.",
    "Answer in JSON: name, purpose and three properties of {}.",
    "Summarise the history of {}.",
    "Write a poem about {}.",
    "Write a Python function that has to do with {}.",
    "Compare {} with something similar.",
    "Write a newspaper article about {}.",
    "Ask and answer three questions about {}.",
    "How does one begin with {}?",
    "Why do people think so much about {}?",
    "Write a Python class that has to do with {}, with a docstring.",
    "Write a speech about {}.",
    "Imagine how {} will be in a hundred years.",
    "Explain the most important words that have to do with {}.",
    "Give advice to somebody who has a problem with {}.",
    "Write a table in Markdown about {}.",
)
_SUBJECTS = (
    "the sea", "bread", "a teddy bear", "electricity", "a lost key", "the moon", "gardening", "prime numbers",
    "a journey by train", "the human heart", "money", "a small village", "computers", "winter", "football",
    "a library", "healthy food", "the planet Mars", "a birthday party", "learning a language", "bees", "bridges",
    "an old friend", "sorting a list", "music", "the weather", "a job interview", "dinosaurs", "coffee", "sleep",
    "a museum", "recycling", "fractions", "a cat and a dog", "medicine", "ancient Rome", "robots", "mountains",
    "a difficult decision", "photography", "the internet", "rivers", "cooking for guests", "chess", "a forest",
    "voting", "the alphabet", "time", "the desert", "tea", "a broken bicycle", "light", "a shopping list", "the stars",
    "vegetables", "even numbers", "a flight", "the brain", "a bank", "a large city", "databases", "spring", "running",
    "a school", "sugar", "volcanoes", "a wedding", "translation", "spiders", "roads", "a neighbour", "searching in a text",
    "painting", "storms", "a new colleague", "whales", "chocolate", "dreams", "a theatre", "plastic",
)  # fmt: skip


def openings(tokenizer: Any) -> list[Any]:
    """1,920 short prompts, in an order in which neighbours have little in common.

    Chat messages where the tokenizer has a chat template, else the first words of a text.
    """
    lines = [form.format(subject) for form, subject in product(_FORMS, _SUBJECTS)]
    step = 211  # has no divisor in common with their number, so that every line comes up once
    mixed = [lines[index * step % len(lines)] for index in range(len(lines))]
    if getattr(tokenizer, "chat_template", None):
        return [[{"role": "user", "content": line}] for line in mixed]
    return [f"{line}\n\n" for line in mixed]


def self_written(
    host: Any, tokens: int, folder: Path, *, seed: int = 0, tell: Callable[[int], None] = lambda tokens: None
) -> list[Row]:
    """At least ``tokens`` new ids that the model writes, kept in ``folder`` so that they are written once.

    They are written as many at a time as the host decodes (``max_batch``), 128 before they are kept.

    Texts have at most 208 new ids. Of each pair of texts one is greedy, one is sampled at temperature 1;
    when the openings are used up, they begin again and all texts are sampled.

    :param host: A ``decodeplug.Host`` with a tokenizer. :param seed: Key of the noise.
    :param tell: Called with the number of ids that are there, after every text.
    :raises BadOption: The folder has texts of another model or seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, identity = folder / FILE, Identity.of(host.target.module).to_dict()
    facts = {"identity": identity, "seed": seed}
    rows = _read(path, facts) if path.exists() else []
    begun = openings(host.tokenizer)
    count = sum(len(row.ids) - row.start for row in rows)
    tell(count)
    while count < tokens:
        for result in host.run([_request(host, begun, len(rows) + more, seed) for more in range(_TEXTS)]):
            rows.append(Row([*result.prompt_ids, *result.token_ids], len(result.prompt_ids)))
            count += len(result.token_ids)
            tell(count)
        _keep(path, rows, facts)
    return rows


def _request(host: Any, begun: Sequence[Any], number: int, seed: int) -> Any:
    from decodeplug.request import Request

    window = host.context_window
    return Request(
        begun[number % len(begun)],
        do_sample=number % 2 == 1 or number >= len(begun),
        seed=(seed << 32) + number,
        max_new_tokens=_NEW_TOKENS if window is None else min(_NEW_TOKENS, window // 2),
        drafters=[],
    )


def _keep(path: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    tensors = {
        "ids": torch.tensor([token for row in rows for token in row.ids], dtype=torch.int32),
        "lengths": torch.tensor([len(row.ids) for row in rows]),
        "starts": torch.tensor([row.start for row in rows]),
    }
    write_tensors(path, tensors, facts)


def _read(path: Path, facts: dict[str, Any]) -> list[Row]:
    tensors, found = read_tensors(path, *WRITTEN)
    if found != facts:
        raise BadOption(
            WRITTEN[0], out=str(path.parent), wanted=f"a folder whose {path.name} is of this model and seed"
        )
    pieces = tensors["ids"].split(tensors["lengths"].tolist())
    return [Row(piece.tolist(), start) for piece, start in zip(pieces, tensors["starts"].tolist(), strict=True)]
