"""The doorbell of the echo plugin, and a listener for those who want to hear it ring."""

from decodeplug.plugin import Registry, hookimpl

from decodeplug_echo.listener import Listener

__all__ = ["Listener", "decodeplug_register"]


@hookimpl
def decodeplug_register(registry: Registry) -> None:
    registry.drafter("echo", "decodeplug_echo.drafter:Echo")
    registry.processor("echo", "decodeplug_echo.processor:EchoBonus")
