"""Where in the text of a Lark grammar something stands, for errors."""

from __future__ import annotations

import re

__all__ = ["Place", "place_of", "place_said"]

Place = tuple[int, int] | tuple[None, None]
"""Line and column, from 1; a pair of None where it is not known."""

_SAID = re.compile(r"line (\d+),? column (\d+)")
_NAMES = re.compile(r"'(!?[?_]*\w+)'|\b(?:token|defined:|Terminal|Rule|Rules|symbol|rule) '?(\w+)'?|\((\"[^)]*\")\)")


def place_of(text: str, *wanted: str | None) -> Place:
    """The first of the wanted that is found: where a rule or terminal is defined or imported, else where the word stands.

    :param wanted: Names, or literals as the grammar writes them; None is passed over.
    """
    for word in wanted:
        if not word:
            continue
        if not re.fullmatch(r"\w+", word):
            found = re.compile(re.escape(word)).search(text)
        else:
            own = word.rpartition("__")[2] or word  # imported names carry the path that they came by
            found = (
                re.compile(rf"^[ \t|]*[!?]*(?P<at>{re.escape(word)})\b[^\n:]*:", re.MULTILINE).search(text)
                or re.compile(rf"^[ \t]*%\w+[^\n]*\b(?P<at>{re.escape(own)})\b", re.MULTILINE).search(text)
                or re.compile(rf"\b{re.escape(own)}\b").search(text)
            )
        if found is not None:
            at = found.start("at") if "at" in found.groupdict() else found.start()
            return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return None, None


def place_said(text: str, message: str) -> Place:
    """The place that a message of Lark's gives, or that of the first name in it."""
    said = _SAID.search(message)
    if said is not None:
        return int(said[1]), int(said[2])
    return place_of(text, *("".join(groups) for groups in _NAMES.findall(message)))
