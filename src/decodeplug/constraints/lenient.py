"""Leave out of a schema what cannot be enforced, and say so."""

from __future__ import annotations

import json
import warnings
from typing import Any, Protocol, TypeVar

from decodeplug.constraints.byte_vocabulary import ByteVocabulary
from decodeplug.contracts import ConstraintSpec
from decodeplug.errors import UnsupportedSchema

__all__ = ["leniently"]

_MOST = 200  # keywords that are left out before it is no longer the same schema
_NO_SCHEMA = "it is not a schema"


Spec = TypeVar("Spec", bound=ConstraintSpec, covariant=True)


class Make(Protocol[Spec]):
    def __call__(self, text: str, *, dropped: tuple[str, ...]) -> Spec: ...


def leniently(text: str, make: Make[Spec]) -> Spec:
    """A schema without the keywords that are refused, one after the other; warns of each.

    :param text: The schema. :param make: Makes the constraint of what is left.
    :raises UnsupportedSchema: It is no schema at all, or nothing that could be left out is named.
    """
    dropped: list[str] = []
    while True:
        try:
            spec = make(text, dropped=tuple(dropped))
            spec.compile(ByteVocabulary())
            return spec
        except UnsupportedSchema as error:
            shorter = None if error.because.startswith(_NO_SCHEMA) else _without(json.loads(text), error)
            if shorter is None or len(dropped) >= _MOST:
                raise
            text = json.dumps(shorter)
            dropped.append(f"not enforced: {error.keyword} at {error.pointer}: {error.because}")
            warnings.warn(dropped[-1], UserWarning, stacklevel=3)


def _without(schema: Any, error: UnsupportedSchema) -> Any | None:
    """The schema without the keyword that an error names; None if it is not there."""
    path = [step.replace("~1", "/").replace("~0", "~") for step in error.pointer.split("/")[1:]]
    here = schema
    for step in path[:-1]:
        if isinstance(here, list):
            here = here[int(step)] if step.isdigit() and int(step) < len(here) else None
        else:
            here = here.get(step)
        if not isinstance(here, dict | list):
            return None
    if not path or not isinstance(here, dict) or path[-1] not in here:
        return None
    del here[path[-1]]
    return schema
