"""Selectors choose among the scored tokens."""

from decodeplug.selectors.match import Match
from decodeplug.selectors.reject import Reject

__all__ = ["Match", "Reject"]
