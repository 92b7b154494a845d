"""Which plugins a host has: finding, choosing and loading them, and calling their hooks."""

from __future__ import annotations

import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from decodeplug import hookspecs
from decodeplug.errors import BadOption, DecodeplugError, NameTaken, PluginError, UnknownPart
from decodeplug.hookspecs import PROJECT
from decodeplug.registry import Registry

__all__ = ["PluginWarning", "Plugins", "Selection", "Source"]

Selection = str | Iterable[object] | None
"""Which plugins to load beside the built-in parts.

``None`` or ``"all"``: every installed one. ``"none"`` or ``[]``: no other.
A list: only those named, by distribution or entry point, or given as objects
(modules or instances with hook implementations). ``"-name"`` leaves one out; a
list of nothing but such names leaves these out of all installed ones.
"""

_BUILTIN = "decodeplug.builtin"


class PluginWarning(UserWarning):
    """A plugin failed where its failure must not stop the host."""


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from.

    :ivar name: Its entry point's name, or its module's for a plugin given as an object.
    :ivar distribution: What messages call it: the name that pip knows.
    :ivar version: The distribution's version; empty if it is not known.
    :ivar module: The module (or object) that its hooks are in.
    :ivar load: Imports and returns the plugin.
    """

    name: str
    distribution: str
    version: str
    module: str
    load: Callable[[], object]

    @property
    def what(self) -> str:
        """How messages call it, before "of plugin ..."."""
        return "the object" if self.name == self.distribution else f"entry point {self.name!r}"

    @property
    def names(self) -> tuple[str, str]:
        """What a selection may call it."""
        return (self.distribution, self.name)

    @classmethod
    def of_entry_point(cls, entry: EntryPoint) -> Source:
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else (entry.value, "")
        return cls(entry.name, name, version, entry.value, entry.load)

    @classmethod
    def of_object(cls, plugin: object) -> Source:
        where = plugin.__name__ if isinstance(plugin, types.ModuleType) else _class_name(plugin)
        return cls(where, where, "", where, lambda: plugin)


class Plugins:
    """The plugins of one host. Each has a plugin manager of its own; nothing is global.

    :ivar registry: The parts they offer.
    :ivar hook: pluggy's relay; ``announce`` is the safer way to fire an event.
    :ivar loaded: The plugins that were loaded, built-in parts first.
    :ivar failures: ``(distribution, PluginError)`` for each one that was left out.
    """

    def __init__(self) -> None:
        self._manager = _manager()
        self.registry = Registry()
        self.hook = self._manager.hook
        self.loaded: list[Source] = []
        self.failures: list[tuple[str, PluginError]] = []

    @classmethod
    def load(cls, selection: Selection = None) -> Plugins:
        """Load the built-in parts and the plugins selected.

        A plugin that fails when it is imported or offers its parts is left out, with
        all that it has offered; a ``PluginWarning`` and ``failures`` name it.

        :raises UnknownPart: A selected name is not installed.
        :raises BadOption: The selection leaves out the built-in parts.
        :raises NameTaken: Two plugins offer the same name.
        """
        plugins = cls()
        for source in _chosen(_installed(), selection):
            plugins._add(source)
        for distribution, error in plugins.failures:
            warnings.warn(PluginWarning(f"{distribution} is left out. {error}"), stacklevel=2)
        return plugins

    def implements(self, hook_name: str) -> bool:
        """Does any plugin implement this hook? Cheap enough to ask once for each request.

        :raises UnknownPart: There is no such hook.
        """
        return bool(self._caller(hook_name).get_hookimpls())

    def announce(self, hook_name: str, **values: Any) -> None:
        """Fire an event. Costs nearly nothing where nobody implements it.

        :raises UnknownPart: There is no such hook.
        :raises DecodeplugError: A plugin raised it on purpose.
        :raises PluginError: A plugin failed; it is named. From
            ``decodeplug_request_failed`` nothing is raised: there it is a warning,
            so that the request's own error is the one that is seen.
        """
        caller = self._caller(hook_name)
        if not (implementations := caller.get_hookimpls()):
            return
        try:
            caller(**values)
        except Exception as error:
            failed = PluginError(_culprit(implementations, error), "a hook", hook_name, error)
            if hook_name == "decodeplug_request_failed":
                warnings.warn(PluginWarning(str(failed)), stacklevel=2)
            elif isinstance(error, DecodeplugError):
                raise
            else:
                raise failed from error

    def _caller(self, hook_name: str) -> pluggy.HookCaller:
        if hook_name not in _hook_names():
            raise UnknownPart("hook", hook_name, _hook_names())
        return getattr(self.hook, hook_name)

    def _add(self, source: Source) -> None:
        """Import a plugin and let it offer its parts; all of it or nothing."""
        doing = f"import of {source.module}"
        try:
            plugin = source.load()
            doing = "declaration of its hooks"
            alone = _manager()  # so that it rings for this plugin only, and a failure needs no undo
            alone.register(plugin)
            alone.check_pending()  # a hook that does not exist is a slip of the pen
            doing = "decodeplug_register"
            with self.registry.offered_by(source.distribution, source.version):
                alone.hook.decodeplug_register(registry=self.registry)
                # The number keeps two objects of one class apart; _culprit reads what stands before it.
                self._manager.register(plugin, f"{source.distribution}:{len(self.loaded)}")
        except NameTaken:
            raise
        except (Exception, SystemExit) as error:  # whatever a plugin does, the others and the host go on
            self.failures.append((source.distribution, PluginError(source.distribution, source.what, doing, error)))
        else:
            self.loaded.append(source)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _installed() -> list[Source]:
    """Built-in parts first, then every installed plugin by name. Without package metadata, the built-in ones."""
    sources = [Source.of_entry_point(entry) for entry in entry_points(group=PROJECT)]
    builtin = [source for source in sources if source.module == _BUILTIN]
    if not builtin:
        builtin = [Source("builtin", PROJECT, "", _BUILTIN, partial(import_module, _BUILTIN))]
    rest = [source for source in sources if source.module != _BUILTIN]
    return builtin[:1] + sorted(rest, key=lambda source: source.names)


def _chosen(installed: Sequence[Source], selection: Selection) -> list[Source]:
    builtin, rest = installed[0], list(installed[1:])
    if selection is None or selection == "all":
        return [builtin, *rest]
    if selection == "none":
        return [builtin]
    wanted = [selection] if isinstance(selection, str) else list(selection)
    blocked = [entry[1:] for entry in wanted if isinstance(entry, str) and entry.startswith("-")]
    asked = [entry for entry in wanted if not (isinstance(entry, str) and entry.startswith("-"))]
    for name in blocked:
        if name in builtin.names:
            raise BadOption(
                "plugins", plugins=f"-{name}", wanted="other plugins' names: the built-in parts are always loaded"
            )
        _named(installed, name)
    chosen = rest if blocked and not asked else _asked(installed, asked)
    return [builtin] + [source for source in chosen if source != builtin and not set(source.names) & set(blocked)]


def _asked(installed: Sequence[Source], asked: Iterable[object]) -> list[Source]:
    """The sources of names and objects, each once, in the order asked for."""
    chosen: list[Source] = []
    for entry in asked:
        if isinstance(entry, str):
            found = _named(installed, entry)
        elif isinstance(entry, types.ModuleType):
            # An installed plugin given as a module keeps its distribution's name.
            found = [source for source in installed if source.module == entry.__name__] or [Source.of_object(entry)]
        else:
            found = [Source.of_object(entry)]
        chosen += [source for source in found if source not in chosen]
    return chosen


def _named(installed: Sequence[Source], name: str) -> list[Source]:
    found = [source for source in installed if name in source.names]
    if not found:
        raise UnknownPart("plugin", name, {known for source in installed for known in source.names})
    return found


def _class_name(plugin: object) -> str:
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return f"{kind.__module__}.{kind.__qualname__}"


@cache
def _hook_names() -> tuple[str, ...]:
    return tuple(name for name in hookspecs.__all__ if name.startswith(f"{PROJECT}_"))


def _culprit(implementations: Sequence[pluggy.HookImpl], error: Exception) -> str:
    """The distribution whose hook is on the traceback: pluggy does not say which one raised."""
    owners = {getattr(each.function, "__code__", None): each.plugin_name for each in implementations}
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code in owners:
            return owners[frame.f_code].partition(":")[0]
    return " or ".join(sorted({each.plugin_name.partition(":")[0] for each in implementations}))
