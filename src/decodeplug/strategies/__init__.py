"""Strategies: named, complete combinations of a selector and its own drafters."""

from decodeplug.strategies.plain import Greedy, Sample
from decodeplug.strategies.speculative import Speculative

__all__ = ["Greedy", "Sample", "Speculative"]
