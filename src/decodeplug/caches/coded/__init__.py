"""Caches that hold older ids in fewer bytes: what a codec for them is, and the rows, lanes and pieces around it."""

from decodeplug.caches.coded.codec import Codec, Codes, Horizon
from decodeplug.caches.coded.lanes import CodedLanes

__all__ = ["Codec", "CodedLanes", "Codes", "Horizon"]
