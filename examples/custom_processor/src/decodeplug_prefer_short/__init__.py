"""The doorbell: says to each host what this package offers, and nothing else."""

from decodeplug.plugin import Registry, hookimpl

__all__ = ["decodeplug_register"]


@hookimpl
def decodeplug_register(registry: Registry) -> None:
    registry.processor("prefer-short", "decodeplug_prefer_short.processor:PreferShort")
