"""The hooks: what each of them reaches, what a failure in one becomes, and that each is documented."""

from __future__ import annotations

import inspect
import re
import types
from pathlib import Path

import pytest

from decodeplug import hookspecs
from decodeplug.discovery import Plugins, PluginWarning
from decodeplug.errors import Cancelled, PluginError, UnknownPart
from decodeplug.hookspecs import hookimpl
from decodeplug.registry import Registry

HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("decodeplug_")}
VALUES = {
    "decodeplug_host_ready": {"host": "a host"},
    "decodeplug_request_started": {"request": "a request"},
    "decodeplug_step": {"request": "a request", "step": "a step"},
    "decodeplug_request_finished": {"request": "a request", "result": "a result"},
    "decodeplug_request_failed": {"request": "a request", "error": ValueError("a failure")},
}
DOCS = Path(__file__).parents[2] / "docs" / "hooks.md"


class Raises(list[object]):
    """Where a listener writes down what it heard, but that its pen breaks."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def append(self, item: object) -> None:
        raise self.error


def breaking(echo: types.ModuleType, error: Exception) -> object:
    """A plugin that raises ``error`` at every event."""
    listener = echo.Listener()
    listener.heard = Raises(error)
    return listener


@pytest.mark.parametrize("hook_name", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(hook_name: str) -> None:
    section = re.search(
        rf"^## {hook_name}\n+```text\n(.*?)\n```\n", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert section, f"docs/hooks.md has no section for {hook_name} that starts with its signature"
    signature = str(inspect.signature(HOOKS[hook_name])).replace("'", "")
    assert section[1] == f"{hook_name}{signature}"


def test_the_docs_name_no_other_hook_and_keep_the_firing_order() -> None:
    assert re.findall(r"^## (decodeplug_\w+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE) == list(HOOKS)


@pytest.mark.parametrize("hook_name", HOOKS)
def test_every_hookspec_says_when_it_fires_and_what_it_may_raise(hook_name: str) -> None:
    doc = inspect.getdoc(HOOKS[hook_name]) or ""
    assert "Fires " in doc
    assert "Return nothing." in doc
    assert ":raises " in doc
    for parameter in inspect.signature(HOOKS[hook_name]).parameters:
        assert f":param {parameter}:" in doc


def test_every_hook_is_tested_here() -> None:
    assert {"decodeplug_register", *VALUES} == set(HOOKS)


def test_decodeplug_register_is_called_once_for_each_plugin_with_the_hosts_registry() -> None:
    called: list[Registry] = []

    class Plugin:
        @hookimpl
        def decodeplug_register(self, registry: Registry) -> None:
            called.append(registry)

    plugins = Plugins.load([Plugin(), Plugin()])
    assert called == [plugins.registry, plugins.registry]


@pytest.mark.parametrize("hook_name", VALUES)
def test_every_event_reaches_every_plugin_that_listens(echo: types.ModuleType, hook_name: str) -> None:
    listeners = [echo.Listener(), echo.Listener()]
    plugins = Plugins.load(listeners)
    assert plugins.implements(hook_name)
    plugins.announce(hook_name, **VALUES[hook_name])
    value = None if hook_name == "decodeplug_host_ready" else list(VALUES[hook_name].values())[-1]
    for listener in listeners:
        assert listener.heard == [(hook_name.removeprefix("decodeplug_"), value)]


@pytest.mark.parametrize("hook_name", VALUES)
def test_an_event_that_nobody_listens_to_is_not_fired(hook_name: str) -> None:
    plugins = Plugins.load("none")
    assert not plugins.implements(hook_name)
    plugins.announce(hook_name)  # not even its values are looked at


@pytest.mark.parametrize("hook_name", [name for name in VALUES if name != "decodeplug_request_failed"])
def test_a_plugin_that_fails_in_an_event_is_named(echo: types.ModuleType, hook_name: str) -> None:
    plugins = Plugins.load([breaking(echo, RuntimeError("no such luck"))])
    with pytest.raises(
        PluginError, match=rf"decodeplug_echo.*Listener failed in {hook_name}: RuntimeError: no such luck"
    ):
        plugins.announce(hook_name, **VALUES[hook_name])


def test_the_guilty_plugin_is_named_and_not_its_neighbour() -> None:
    class Guilty:
        @hookimpl
        def decodeplug_step(self, step: object) -> None:
            self.fail()

        def fail(self) -> None:
            raise RuntimeError("no such luck")

    class Innocent:
        @hookimpl
        def decodeplug_step(self) -> None: ...

    for order in ([Guilty(), Innocent()], [Innocent(), Guilty()]):
        with pytest.raises(PluginError) as caught:
            Plugins.load(order).announce("decodeplug_step", request=None, step=None)
        assert caught.value.plugin.endswith("Guilty")
        assert caught.value.call == "decodeplug_step"


def test_an_error_of_ours_passes_as_it_is(echo: types.ModuleType) -> None:
    stop = Cancelled("the quota is used up")
    plugins = Plugins.load([breaking(echo, stop)])
    with pytest.raises(Cancelled) as caught:
        plugins.announce("decodeplug_request_started", request=None)
    assert caught.value is stop


def test_a_failure_while_a_failure_is_announced_is_only_a_warning(echo: types.ModuleType) -> None:
    plugins = Plugins.load([breaking(echo, RuntimeError("and another"))])
    with pytest.warns(PluginWarning, match="decodeplug_request_failed: RuntimeError: and another"):
        plugins.announce("decodeplug_request_failed", **VALUES["decodeplug_request_failed"])


def test_an_unknown_event_is_refused() -> None:
    plugins = Plugins.load("none")
    for ask in (plugins.implements, plugins.announce):
        with pytest.raises(UnknownPart, match="Did you mean 'decodeplug_step'"):
            ask("decodeplug_stepp")
