"""From a host and texts to a folder with trained heads and their card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from decodeplug.errors import BadOption
from decodeplug.heads.batches import batch_of
from decodeplug.heads.card import Card
from decodeplug.heads.cut import IGNORED, commonest
from decodeplug.heads.frozen import Frozen, Kept
from decodeplug.heads.learning import measured
from decodeplug.heads.texts import Row, counted, hash_of, held_out, rows_of
from decodeplug.heads.trained import Heads
from decodeplug.heads.training import CHECKPOINT, Settings, Training

__all__ = ["train_heads"]

_SCALE_ROWS = 4  # rows that the size of hidden states is taken from


def _never() -> bool:
    return False


def train_heads(
    host: Any,
    texts: Sequence[Row],
    folder: Path,
    settings: Settings,
    *,
    source: str,
    resume: bool = False,
    tell: Callable[[Training], None] = lambda training: None,
    stop: Callable[[], bool] = _never,
) -> Card:
    """Train heads for the model of a host, which stays as it is, and measure them.

    :param host: A ``decodeplug.Host``. :param texts: What the heads learn from; every sixteenth row is held out.
    :param folder: Gets ``heads.safetensors``, ``training.safetensors``, ``card.json`` and ``README.md``.
    :param source: Where the texts come from, for the card.
    :param resume: Go on with the checkpoint that is in the folder.
    :param tell, stop: See :meth:`Training.run`.
    :raises BadOption: There is a checkpoint and ``resume`` is not set, or there is none and it is; the checkpoint is of
        other settings or text; or there is too little text.
    :raises UnsupportedModel: The hidden states or layers of the model cannot be read.
    """
    _check_folder(folder, resume)
    learned, measured_rows = held_out(rows_of(texts, settings.width))
    model, frozen = host.target.module, Frozen(host.target)
    frozen.check()
    ids = commonest(counted(learned), settings.vocab, host.target.vocab_size)
    with Kept(frozen, learned, folder) as kept, Kept(frozen, measured_rows, folder) as unseen:
        scale = _scale(kept)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            heads = Heads.new(model, settings.kind, settings.heads, ids, scale=scale)
        training = Training(heads, kept, settings, folder, hash_of(learned))
        if resume:
            training.resume()
        finished = training.run(tell, stop)
        card = _card(host, training, unseen, source, finished)
    card.write(folder)
    return card


def _check_folder(folder: Path, resume: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    is_there = (folder / CHECKPOINT).is_file()
    if is_there and not resume:
        raise BadOption("train-heads", out=str(folder), wanted="another folder, or --resume: it has a checkpoint")
    if resume and not is_there:
        raise BadOption("train-heads", out=str(folder), wanted="a folder with a checkpoint, or no --resume")


def _scale(kept: Kept) -> float:
    """Root mean square of hidden states."""
    hidden = torch.cat([kept.hidden(index).float() for index in range(min(_SCALE_ROWS, len(kept.rows)))])
    return float(hidden.square().mean().sqrt())


def _card(host: Any, training: Training, unseen: Kept, source: str, finished: bool) -> Card:
    heads, settings = training.heads, training.settings
    device, count = heads.output.rows.device, len(unseen.rows)
    groups = [range(at, min(at + settings.batch, count)) for at in range(0, count, settings.batch)]
    acceptance = measured(heads, (batch_of(unseen, group, device) for group in groups))
    ids = torch.tensor(list(counted(unseen.rows).elements())).to(device)
    covered = float((heads.vocabulary.places(ids) != IGNORED).float().mean())
    return Card(
        kind=heads.kind,
        objective=settings.objective,
        model=getattr(host.model, "name_or_path", "") or type(host.target.module).__name__,
        identity=heads.identity,
        acceptance=acceptance,
        covered=covered,
        vocab=len(heads.vocabulary),
        text=source,
        text_tokens=training.text_tokens,
        tokens=training.tokens,
        steps=training.step,
        minutes=training.seconds / 60,
        loss=training.loss,
        parameters=sum(parameter.numel() for parameter in heads.part.parameters()),
        is_finished=finished,
    )
