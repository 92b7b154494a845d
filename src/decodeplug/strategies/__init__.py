"""Strategies: named, complete combinations of a selector and its own drafters."""

from decodeplug.strategies.plain import Greedy, Sample
from decodeplug.strategies.ranking import BestOfN
from decodeplug.strategies.voting import SelfConsistency

__all__ = ["BestOfN", "Greedy", "Sample", "SelfConsistency"]
