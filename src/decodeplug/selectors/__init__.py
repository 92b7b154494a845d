"""Selectors choose among the scored tokens."""

from decodeplug.selectors.beam import Beam
from decodeplug.selectors.match import Match

__all__ = ["Beam", "Match"]
