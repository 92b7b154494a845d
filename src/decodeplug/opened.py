"""A drafter for one request alone, its answers, and whose failure it is if there is none."""

from __future__ import annotations

import math

from decodeplug.contracts import Ask, Drafter
from decodeplug.failure import PartFailure
from decodeplug.values import Draft, Opening

__all__ = ["answer_of", "check_price", "checked", "is_drafter", "opened"]


def is_drafter(part: object) -> bool:
    """Can it be asked for drafts?"""
    return callable(getattr(part, "draft", None)) and not isinstance(part, type)


def opened(drafter: Drafter, request: Opening) -> Drafter:
    """What the drafter gives the request by ``open``; the drafter itself where it has no such method.

    :raises PartFailure: ``open`` raised, or gave back no drafter; names the drafter.
    """
    give = getattr(drafter, "open", None)
    try:
        if give is None:
            check_prior(drafter)
            return drafter
        own = give(request)
        if not is_drafter(own):
            raise TypeError(f"returned {type(own).__name__} where a drafter was wanted")
        check_prior(own)
    except PartFailure:
        raise  # of a drafter within this one
    except Exception as error:
        raise PartFailure(drafter, error) from error
    return own


def answer_of(ask: Ask) -> Draft:
    """What a drafter proposes.

    :raises PartFailure: It raised, or what it gave is no draft; names it, or the drafter within it.
    """
    try:
        return checked(ask.drafter.draft(ask.lane, ask.room))
    except PartFailure:
        raise  # of a drafter of a chain within this one
    except Exception as error:
        raise PartFailure(ask.drafter, error) from error


def checked(answer: object) -> Draft:
    """An answer of a drafter.

    :raises TypeError: It is no draft, or its parts do not fit together.
    """
    if not isinstance(answer, Draft):
        raise TypeError(f"returned {type(answer).__name__} where a Draft was wanted")
    if len(answer.sources) != len(answer.tokens):
        raise TypeError(f"named {len(answer.sources)} sources for {len(answer.tokens)} tokens")
    for source in answer.sources:
        if not isinstance(source, str):
            raise TypeError(f"{source!r} is no name of a drafter")
    for token in answer.tokens:
        if type(token) is not int or token < 0:
            raise TypeError(f"{token!r} is no token id")
    if len(answer.probabilities) > len(answer.tokens):
        raise TypeError(f"gave {len(answer.probabilities)} distributions for {len(answer.tokens)} tokens")
    if len(answer.confidence) not in (0, len(answer.tokens)):
        raise TypeError(f"was sure of {len(answer.confidence)} of {len(answer.tokens)} tokens")
    for sure in answer.confidence:
        if sure is not None and not 0 <= sure <= 1:
            raise TypeError(f"{sure!r} is no confidence, which is from 0 to 1")
    for _, price in answer.paid:
        check_price(price)
    return answer


def check_prior(drafter: object) -> None:
    """The share of its tokens that a drafter expects to be kept.

    :raises TypeError: It is no number from 0 to 1.
    """
    prior = getattr(drafter, "prior", None)
    if isinstance(prior, bool) or not isinstance(prior, int | float) or not 0 <= prior <= 1:
        raise TypeError(f"its prior is {prior!r}, which is no share from 0 to 1")


def check_price(price: float) -> None:
    """What a token of a drafter costs, in forwards of width 1.

    :raises TypeError: It is no number from 0 on.
    """
    if not 0 <= price < math.inf:
        raise TypeError(f"{price!r} is no price, which is a number from 0 on")
