"""Text that the model itself writes: the best text to train its heads on, and none has to be found.

Heads learn to foresee what one model writes. Text that it wrote itself has its own words, its own
mistakes and its own frequencies (arXiv:2401.10774, section 2.3.2, calls it self-distillation).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from decodeplug.errors import BadOption
from decodeplug.files import read_tensors, write_tensors
from decodeplug.heads.frozen import MOST_BYTES, Frozen
from decodeplug.heads.texts import Row, hash_of
from decodeplug.heads.trained import WRITTEN
from decodeplug.identity import Identity
from decodeplug.taps import HiddenTap
from decodeplug.watching import Watched

__all__ = ["FILE", "openings", "self_written"]

FILE = "text.safetensors"
HIDDEN = "hidden-{:06}.safetensors"  # by the number of its first text
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
    host: Any,
    tokens: int,
    folder: Path,
    *,
    seed: int = 0,
    hidden: bool = False,
    tell: Callable[[int], None] = lambda tokens: None,
) -> list[Row]:
    """At least ``tokens`` new ids that the model writes, kept in ``folder`` so that they are written once.

    They are written as many at a time as the host decodes (``max_batch``), 128 before they are kept.

    Texts have at most 208 new ids. Of each pair of texts one is greedy, one is sampled at temperature 1;
    when the openings are used up, they begin again and all texts are sampled.

    :param host: A ``decodeplug.Host`` with a tokenizer. :param seed: Key of the noise.
    :param hidden: Keep the hidden states of the texts as well, which are there while they are written, up to 4 GiB of them:
        who learns from the texts need not read them.
    :param tell: Called with the number of ids that are there, after every text.
    :raises BadOption: The folder has texts of another model or seed.
    :raises UnsupportedModel: The hidden states cannot be seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, identity = folder / FILE, Identity.of(host.target.module).to_dict()
    facts = {"identity": identity, "seed": seed}
    rows = _read(path, facts) if path.exists() else []
    begun = openings(host.tokenizer)
    count = sum(len(row.ids) - row.start for row in rows)
    size = sum(row.hidden.nbytes for row in rows if row.hidden is not None)
    tell(count)
    if hidden:
        Frozen(host.target).check()  # whether they are of use is known before anything is written
    while count < tokens:
        first, sees = len(rows), hidden and size < MOST_BYTES
        for result in host.run([_request(host, begun, first + more, seed, sees) for more in range(_TEXTS)]):
            ids = [*result.prompt_ids, *result.token_ids]
            rows.append(Row(ids, len(result.prompt_ids), result.reports.get(HiddenStates.name)))
            count += len(result.token_ids)
            tell(count)
        if sees:
            size += _keep_hidden(path.with_name(HIDDEN.format(first)), rows[first:], facts)
        _keep(path, rows, facts)
        if sees:
            rows[first:] = _with_hidden(path.parent, first, rows[first:], facts)  # on the disk from now on
    return rows


class HiddenStates:
    """An inspector: reports what the output layer read after each id of a text, ``[ids, hidden]``, on the CPU; zeros after the
    last one, which no forward has seen."""

    name: ClassVar[str] = "hidden-states"

    def __init__(self) -> None:
        self._states: Tensor | None = None

    def attach(self, model: Any) -> Any:
        """Nothing: it looks through its tap."""
        return contextlib.nullcontext()

    def tap(self, model: Any) -> HiddenTap:
        return HiddenTap(model)

    def step(self, step: Any) -> None:
        """Nothing: what was seen comes at the end."""

    @torch.inference_mode(False)
    def see(self, watched: Watched) -> None:
        self._states = pad(watched.texts[0].rows.cpu(), (0, 0, 0, 1))

    def report(self) -> Tensor | None:
        return self._states


def _request(host: Any, begun: Sequence[Any], number: int, seed: int, sees: bool) -> Any:
    from decodeplug.request import Request

    window = host.context_window
    return Request(
        begun[number % len(begun)],
        do_sample=number % 2 == 1 or number >= len(begun),
        seed=(seed << 32) + number,
        max_new_tokens=_NEW_TOKENS if window is None else min(_NEW_TOKENS, window // 2),
        drafters=[],
        inspectors=[HiddenStates()] if sees else [],
    )


def _keep(path: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    tensors = {
        "ids": torch.tensor([token for row in rows for token in row.ids], dtype=torch.int32),
        "lengths": torch.tensor([len(row.ids) for row in rows]),
        "starts": torch.tensor([row.start for row in rows]),
    }
    write_tensors(path, tensors, facts)


def _keep_hidden(path: Path, rows: Sequence[Row], facts: dict[str, Any]) -> int:
    """:returns: How many bytes they are."""
    hidden = torch.cat([row.hidden for row in rows if row.hidden is not None])
    write_tensors(path, {"hidden": hidden}, {**facts, "ids": hash_of(rows)})
    return hidden.nbytes


def _with_hidden(folder: Path, first: int, rows: Sequence[Row], facts: dict[str, Any]) -> list[Row]:
    """Rows that were written together, with their hidden states if these are there and theirs: mapped from their file, not read.

    :param first: Number of the first of them.
    """
    path = folder / HIDDEN.format(first)
    if not path.is_file():
        return [replace(row, hidden=None) for row in rows]
    tensors, found = read_tensors(path, *WRITTEN)
    if found != {**facts, "ids": hash_of(rows)}:  # of texts that were written before these
        return [replace(row, hidden=None) for row in rows]
    hidden = tensors["hidden"].split([len(row.ids) for row in rows])
    return [replace(row, hidden=one) for row, one in zip(rows, hidden, strict=True)]


def _read(path: Path, facts: dict[str, Any]) -> list[Row]:
    tensors, found = read_tensors(path, *WRITTEN)
    if found != facts:
        raise BadOption(
            WRITTEN[0], out=str(path.parent), wanted=f"a folder whose {path.name} is of this model and seed"
        )
    pieces = tensors["ids"].split(tensors["lengths"].tolist())
    rows = [Row(piece.tolist(), start) for piece, start in zip(pieces, tensors["starts"].tolist(), strict=True)]
    return [
        row
        for first in range(0, len(rows), _TEXTS)
        for row in _with_hidden(path.parent, first, rows[first : first + _TEXTS], facts)
    ]
