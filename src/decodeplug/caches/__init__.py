"""Caches that a user can name, and what the target asks of one.

A *spec* (:class:`Dense`, :class:`NoCache`) is what a recipe names: a frozen
dataclass with its claims. ``spec.open(...)`` makes the cache of one session.
"""

from decodeplug.caches.dense import Dense
from decodeplug.caches.nothing import NoCache
from decodeplug.caches.paged import Paged
from decodeplug.caches.quantised import Quantised
from decodeplug.caches.rolling import Rolling
from decodeplug.caches.seam import CacheSpec, KnowingCache, LaneCache, LayerPlan, PiecewiseCache
from decodeplug.caches.stored import StoredInput
from decodeplug.caches.transform import Latent
from decodeplug.caches.transformers_quantized import TransformersQuantized

__all__ = [
    "CacheSpec",
    "Dense",
    "KnowingCache",
    "LaneCache",
    "Latent",
    "LayerPlan",
    "NoCache",
    "Paged",
    "PiecewiseCache",
    "Quantised",
    "Rolling",
    "StoredInput",
    "TransformersQuantized",
]
