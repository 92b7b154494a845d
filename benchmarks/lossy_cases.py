"""The documents that lossy caches are judged by: chapters of Python's own documentation, which come with every Python."""

from __future__ import annotations

from pydoc_data.topics import topics

__all__ = ["LENGTH", "NAMES", "documents"]

NAMES = ("specialnames", "formatstrings", "debugger", "string-methods")
"""None of them was looked at before anything was chosen."""
LENGTH = 2048
"""Ids of a document that are read."""


def documents() -> dict[str, str]:
    """Name to text."""
    return {name: topics[name] for name in NAMES}
