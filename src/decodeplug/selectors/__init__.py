"""Selectors choose among the scored tokens."""

from decodeplug.selectors.match import Match

__all__ = ["Match"]
