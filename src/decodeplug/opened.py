"""A drafter for one request alone, its answers, and whose failure it is if there is none."""

from __future__ import annotations

from decodeplug.contracts import Ask, Drafter
from decodeplug.failure import PartFailure
from decodeplug.values import Draft, Opening

__all__ = ["answer_of", "is_drafter", "opened"]


def is_drafter(part: object) -> bool:
    """Can it be asked for drafts?"""
    return callable(getattr(part, "draft", None)) and not isinstance(part, type)


def opened(drafter: Drafter, request: Opening) -> Drafter:
    """What the drafter gives the request by ``open``; the drafter itself where it has no such method.

    :raises PartFailure: ``open`` raised, or gave back no drafter; names the drafter.
    """
    give = getattr(drafter, "open", None)
    if give is None:
        return drafter
    try:
        own = give(request)
        if not is_drafter(own):
            raise TypeError(f"returned {type(own).__name__} where a drafter was wanted")
    except PartFailure:
        raise  # of a drafter within this one
    except Exception as error:
        raise PartFailure(drafter, error) from error
    return own


def answer_of(ask: Ask) -> Draft:
    """What a drafter proposes.

    :raises PartFailure: It raised; names it, or the drafter within it.
    """
    try:
        return ask.drafter.draft(ask.lane, ask.room)
    except PartFailure:
        raise  # of a drafter of a chain within this one
    except Exception as error:
        raise PartFailure(ask.drafter, error) from error
