"""Every hook, in the order in which they fire. ``docs/hooks.md`` is for their users.

Hooks are the doorbell, not the corridor: they offer parts and announce events.
No hook changes a value, and what one returns is not looked at. A hook may leave
out parameters that it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from decodeplug.host import Host
    from decodeplug.registry import Registry
    from decodeplug.request import Request
    from decodeplug.result import Result
    from decodeplug.trace import Step

__all__ = [
    "PROJECT",
    "decodeplug_host_ready",
    "decodeplug_register",
    "decodeplug_request_failed",
    "decodeplug_request_finished",
    "decodeplug_request_started",
    "decodeplug_step",
    "hookimpl",
]

PROJECT = "decodeplug"
"""pluggy's project name, and the entry-point group that plugins are found by."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as the implementation of the hook of that name."""


@hookspec
def decodeplug_register(registry: Registry) -> None:
    """Offer parts to this host, by name.

    Fires once for each ``Host``, before a model is touched, so do not import
    heavy libraries at module level. Order between plugins means nothing: the
    recipe names its parts and their order. Return nothing.

    :param registry: Call ``registry.processor("min-p", MinP)``; likewise
        ``drafter``, ``constraint``, ``selector``, ``strategy``, ``cache``,
        ``inspector``, ``intervention``, ``engine`` and ``grammar``.
    :raises NameTaken: Another distribution offers that name; both are named, and
        the host is not built. Any other exception leaves this plugin out, with all
        that it offered so far, and a ``PluginWarning`` names it.
    """


@hookspec
def decodeplug_host_ready(host: Host) -> None:
    """A host has its model, its tokenizer and its parts, and can take requests.

    Fires once for each ``Host``, at the end of its construction. The plugin that
    was loaded last is called first; do not rely on more. Return nothing.

    :param host: The host; keep a weak reference if you keep one at all, because
        it holds the model.
    :raises DecodeplugError: This host shall not be built. Any other exception ends
        its construction as ``PluginError``, which names the plugin.
    """


@hookspec
def decodeplug_request_started(request: Request) -> None:
    """A request was checked, its parts are built, and its first step comes next.

    Fires once for each request, in the thread that runs the loop; the rows of a
    batch are requests of their own. Not fired for a request that is refused
    before, say for an unknown part. Return nothing.

    :param request: The request; it is a value and is not modified.
    :raises DecodeplugError: Refuse this request: it fails with that error, and the
        others go on. Any other exception makes it fail with ``PluginError``.
    """


@hookspec
def decodeplug_step(request: Request, step: Step) -> None:
    """The loop has finished one turn for one lane.

    Fires for every lane after every turn of the loop, so hundreds of times for one
    request, in the thread that runs the loop. The call costs 4-12 us before your
    code starts, and the model waits for it; it is not fired at all where nobody
    implements it. To read the steps of one request, an inspector is the cheaper
    and better-placed part. Return nothing.

    :param request: Whose step it is.
    :param step: The step's record, as it stands in the trace; not modified.
    :raises DecodeplugError: The request of this step fails with that error, and the
        others go on. Any other exception makes it fail with ``PluginError``.
    """


@hookspec
def decodeplug_request_finished(request: Request, result: Result) -> None:
    """A request has its result, which is handed to the caller next.

    Fires once for each request that did not fail, cancelled ones and those that
    ran out of time included (``result.finish_reason`` tells). Return nothing.

    :param request: The request, as in ``decodeplug_request_started``.
    :param result: What the caller gets; not modified.
    :raises DecodeplugError: The caller gets that error in place of the result. Any
        other exception becomes ``PluginError``.
    """


@hookspec
def decodeplug_request_failed(request: Request, error: Exception) -> None:
    """A request that had started has failed, and the caller gets the error next.

    Fires once for each such request, in place of ``decodeplug_request_finished``.
    Return nothing.

    :param request: The request, as in ``decodeplug_request_started``.
    :param error: What the caller gets.
    :raises Exception: Never reaches the caller, who is to see ``error``: it becomes
        a ``PluginWarning`` that names the plugin.
    """
