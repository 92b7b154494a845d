"""Keys and values in blocks."""

from decodeplug.caches.paged.paged import Paged

__all__ = ["Paged"]
