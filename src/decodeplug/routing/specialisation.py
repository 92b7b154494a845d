"""Do experts specialise? What the choice of an expert tells of a token's kind, against what chance would tell."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from decodeplug.errors import BadOption
from decodeplug.whole import whole_number

if TYPE_CHECKING:
    from decodeplug.routing.report import Routing

__all__ = ["Specialisation", "character_classes", "positions", "specialisation"]


@dataclass(frozen=True, slots=True, eq=False)
class Specialisation:
    """What experts tell of a token's class.

    :ivar classes: Names of the classes. :ivar shares: ``[layers, classes, N]`` float64: of the choices for tokens of a class, the
        share of each expert.
    :ivar information: ``[layers]`` float64, mutual information of class and expert, in bits.
    :ivar by_chance: ``[layers]`` its mean where the classes are moved along the text: what a text of this length shows without
        any specialisation. :ivar p: ``[layers]`` the probability of as much by chance.
    :ivar entropy: Of the classes, in bits: the most there is to tell.
    """

    classes: Sequence[str]
    shares: Tensor
    information: Tensor
    by_chance: Tensor
    p: Tensor
    entropy: float

    @property
    def excess(self) -> Tensor:
        """``[layers]`` bits beyond chance, at least 0."""
        return (self.information - self.by_chance).clamp(min=0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable values."""
        tensors = {name: getattr(self, name).tolist() for name in ("shares", "information", "by_chance", "p")}
        return {"classes": list(self.classes), "entropy": self.entropy, **tensors}


def specialisation(routing: Routing, labels: Sequence[str], *, rounds: int = 200, seed: int = 0) -> Specialisation:
    """Mutual information of a token's class and its experts, with a permutation null.

    In each round of the null, classes are moved along the text by a random number of tokens, in a circle, and every
    second time mirrored: neighbours stay neighbours, so runs of one class, which any text has, do not pass for insight. Few
    classes in few runs leave few such moves: then ``p`` is large, as it should be.

    Source of the measure: Cover and Thomas, Elements of Information Theory, 2nd edition, section 2.3.

    :param labels: The class of each token of the routing: any names.
    :param rounds: Of the null.
    :raises BadOption: There are not as many labels as tokens, or less than two tokens.
    """
    tokens = len(routing.token_ids)
    if len(labels) != tokens or tokens < 2:
        raise BadOption(
            "specialisation", labels=len(labels), wanted=f"one for each of the {tokens} tokens, at least two"
        )
    whole_number("specialisation", "rounds", rounds, 1)
    classes = sorted(set(labels))
    number = {name: place for place, name in enumerate(classes)}
    kinds = one_hot(torch.tensor([number[label] for label in labels]), len(classes)).to(torch.float64)
    chosen = _choices(routing)
    joint = torch.einsum("tc,tle->lce", kinds, chosen)
    information = _information(joint)
    generator = torch.Generator().manual_seed(seed)
    null = []
    for _ in range(rounds):
        shift = int(torch.randint(1, tokens, (1,), generator=generator))
        moved = kinds.roll(shift, 0)
        if int(torch.randint(0, 2, (1,), generator=generator)):
            moved = moved.flip(0)
        null.append(_information(torch.einsum("tc,tle->lce", moved, chosen)))
    against = torch.stack(null)
    as_much = (against >= information - 1e-12).sum(0)
    share = kinds.mean(0)
    return Specialisation(
        classes,
        joint / joint.sum(-1, keepdim=True).clamp(min=1e-300),
        information,
        against.mean(0),
        (as_much + 1).to(torch.float64) / (rounds + 1),
        float(torch.special.entr(share).sum() / torch.log(torch.tensor(2.0))),
    )


def character_classes(texts: Sequence[str]) -> list[str]:
    """The class of each token by what its text is made of: "word" (with a space before it), "letters", "digits", "space", "line" (a line
    break), "punctuation", "symbol" or "other".

    :param texts: The text of each token, spaces included.
    """
    return [_class_of(text) for text in texts]


def positions(count: int, parts: int = 4) -> list[str]:
    """In which part of a text each of ``count`` tokens is: "1/4" and so on."""
    return [f"{place * parts // max(1, count) + 1}/{parts}" for place in range(count)]


def _class_of(text: str) -> str:
    if not text.strip():
        return "line" if "\n" in text else "space" if text else "other"
    first = text.strip()[0]
    kinds: dict[str, Callable[[], str]] = {
        "L": lambda: "word" if text[0].isspace() else "letters",
        "M": lambda: "letters",
        "N": lambda: "digits",
        "P": lambda: "punctuation",
        "S": lambda: "symbol",
    }
    return kinds.get(unicodedata.category(first)[0], lambda: "other")()


def _choices(routing: Routing) -> Tensor:
    """``[tokens, layers, N]`` float64: the choices of each token, which count 1 together."""
    count = routing.probs.shape[-1]
    chosen = torch.zeros(routing.probs.shape, dtype=torch.float64)
    valid = routing.experts >= 0
    chosen.scatter_add_(-1, routing.experts.clamp(0, count - 1), valid.to(torch.float64))
    return chosen / chosen.sum(-1, keepdim=True).clamp(min=1)


def _information(joint: Tensor) -> Tensor:
    """``[layers]`` bits, of counts ``[layers, classes, N]``."""
    shares = joint / joint.sum((-1, -2), keepdim=True).clamp(min=1e-300)
    entropy = torch.special.entr
    marginal = entropy(shares.sum(-1)).sum(-1) + entropy(shares.sum(-2)).sum(-1)
    return ((marginal - entropy(shares).sum((-1, -2))) / torch.log(torch.tensor(2.0))).clamp(min=0)
