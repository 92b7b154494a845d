"""Selectors choose among the scored tokens."""

from decodeplug.selectors.beam import Beam
from decodeplug.selectors.match import Match
from decodeplug.selectors.reject import Reject

__all__ = ["Beam", "Match", "Reject"]
