"""Strategies: named, complete combinations of a selector and its own drafters."""

from decodeplug.strategies.beam import BeamSearch
from decodeplug.strategies.mtp import MultiTokenPrediction
from decodeplug.strategies.plain import Greedy, Sample
from decodeplug.strategies.ranking import BestOfN
from decodeplug.strategies.speculative import Speculative
from decodeplug.strategies.voting import SelfConsistency

__all__ = [
    "BeamSearch",
    "BestOfN",
    "Greedy",
    "MultiTokenPrediction",
    "Sample",
    "SelfConsistency",
    "Speculative",
]
