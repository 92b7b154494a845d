"""Strategies: named, complete combinations of a selector and its own drafters."""

from decodeplug.strategies.beam import BeamSearch
from decodeplug.strategies.mtp import MultiTokenPrediction
from decodeplug.strategies.plain import Greedy, Sample
from decodeplug.strategies.speculative import Speculative

__all__ = ["BeamSearch", "Greedy", "MultiTokenPrediction", "Sample", "Speculative"]
