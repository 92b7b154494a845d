"""A plugin object that hears every event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decodeplug.plugin import hookimpl

if TYPE_CHECKING:
    from decodeplug.host import Host
    from decodeplug.request import Request
    from decodeplug.result import Result
    from decodeplug.trace import Step

__all__ = ["Listener"]


class Listener:
    """Writes down what a host announces. Give it to one host: ``Host(..., plugins=[Listener()])``.

    :ivar heard: ``(event, value)`` in the order in which they came: the hook's name
        without its prefix, and the result, the error, the step or the request that
        came with it (None for ``host_ready``: a listener does not keep a host alive).
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    @hookimpl
    def decodeplug_host_ready(self, host: Host) -> None:
        self.heard.append(("host_ready", None))

    @hookimpl
    def decodeplug_request_started(self, request: Request) -> None:
        self.heard.append(("request_started", request))

    @hookimpl
    def decodeplug_step(self, step: Step) -> None:
        self.heard.append(("step", step))

    @hookimpl
    def decodeplug_request_finished(self, request: Request, result: Result) -> None:
        self.heard.append(("request_finished", result))

    @hookimpl
    def decodeplug_request_failed(self, request: Request, error: Exception) -> None:
        self.heard.append(("request_failed", error))
