"""The doorbell: says to each host what this package offers, and nothing else."""

from decodeplug.plugin import Registry, hookimpl

__all__ = ["decodeplug_register"]


@hookimpl
def decodeplug_register(registry: Registry) -> None:
    # Imported here, so that finding the plugin stays cheap.
    from decodeplug_template.processor import Template

    registry.processor("template", Template)
