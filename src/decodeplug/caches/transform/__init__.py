"""Transform coding of keys and values."""

from decodeplug.caches.transform.latent import Latent

__all__ = ["Latent"]
