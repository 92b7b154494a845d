"""Which parts there are: name to factory, and who offers it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from decodeplug.building import build, options_of
from decodeplug.errors import BadOption, NameTaken, PluginError, UnknownPart
from decodeplug.spec import Spec, normal_name

__all__ = ["KINDS", "Factory", "Kind", "Offer", "Registry"]

KINDS = (
    "processor",
    "constraint",
    "drafter",
    "selector",
    "strategy",
    "cache",
    "inspector",
    "intervention",
    "engine",
    "grammar",
)
"""The kinds of parts, in the order of ``docs/house.md``."""

Kind = str
Factory = Callable[..., Any] | str
"""What makes a part when it is called with the part's options. As text,
``"package.module:attribute"``, it is imported on first use."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_APPLICATION = ("the application", "")


@dataclass(frozen=True)
class Offer:
    """A part that somebody offers under a name.

    :ivar kind: One of ``KINDS``.
    :ivar name: Lower-case, with dashes.
    :ivar target: The factory, or where to import it from.
    :ivar distribution: Who offers it, by the name that pip knows.
    :ivar version: That distribution's version; empty if it has none.
    """

    kind: Kind
    name: str
    target: Factory
    distribution: str
    version: str = ""

    @property
    def part(self) -> str:
        """How messages call it: ``processor 'min-p'``."""
        return f"{self.kind} {self.name!r}"

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The factory itself, imported on first use.

        :raises PluginError: It cannot be imported.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:  # a plugin's module may raise anything when it is imported
            raise PluginError(self.distribution, self.part, f"import of {self.target}", error) from error

    @cached_property
    def summary(self) -> str:
        """The first line of the factory's docstring; imports the factory.

        :raises PluginError: It cannot be imported.
        """
        doc = inspect.getdoc(self.factory) or ""
        return doc.partition("\n")[0].strip()

    @cached_property
    def approximates(self) -> bool:
        """Does it give something else than the model itself, that is nearly as good? Imports the factory.

        :raises PluginError: It cannot be imported.
        """
        return getattr(self.factory, "exact", True) is False

    @cached_property
    def options(self) -> dict[str, str]:
        """Option to default, as Python writes it; ``""`` for one that must be given. Imports the factory.

        :raises PluginError: It cannot be imported.
        """
        return options_of(self.factory)


class Registry:
    """The parts of one host, by kind and name.

    Names are lower-case words joined by dashes. A name is offered once: two
    offers of one kind and name are an error, never a question of order.
    """

    def __init__(self) -> None:
        self._offers: dict[tuple[Kind, str], Offer] = {}
        self._offering = _APPLICATION

    def processor(self, name: str, factory: Factory) -> None:
        """Offer a processor.

        This and its siblings take the same two arguments and raise the same errors.

        :param name: What recipes call it, such as ``"min-p"``.
        :param factory: Called with the part's options as keywords. A value that is
            given without a name goes to its first parameter. A text
            ``"package.module:attribute"`` is imported on first use.
        :raises NameTaken: Another distribution offers that name; both are named.
        :raises BadOption: The name is not lower-case words joined by dashes, or was
            offered by this very distribution before.
        """
        self._offer("processor", name, factory)

    def drafter(self, name: str, factory: Factory) -> None:
        """Offer a drafter."""
        self._offer("drafter", name, factory)

    def constraint(self, name: str, factory: Factory) -> None:
        """Offer a constraint: the factory returns a ``ConstraintSpec``."""
        self._offer("constraint", name, factory)

    def selector(self, name: str, factory: Factory) -> None:
        """Offer a selector."""
        self._offer("selector", name, factory)

    def strategy(self, name: str, factory: Factory) -> None:
        """Offer a strategy."""
        self._offer("strategy", name, factory)

    def cache(self, name: str, factory: Factory) -> None:
        """Offer a cache."""
        self._offer("cache", name, factory)

    def inspector(self, name: str, factory: Factory) -> None:
        """Offer an inspector."""
        self._offer("inspector", name, factory)

    def intervention(self, name: str, factory: Factory) -> None:
        """Offer an intervention."""
        self._offer("intervention", name, factory)

    def engine(self, name: str, factory: Factory) -> None:
        """Offer an engine."""
        self._offer("engine", name, factory)

    def grammar(self, name: str, factory: Factory) -> None:
        """Offer a grammar: the factory takes no options and returns its text."""
        self._offer("grammar", name, factory)

    def get(self, kind: Kind, name: str) -> Offer:
        """The offer of that kind and name; underscores in ``name`` count as dashes.

        :raises UnknownPart: There is none; says the nearest names, and all of them.
        """
        self._check_kind(kind)
        offer = self._offers.get((kind, normal_name(name)))
        if offer is None:
            raise UnknownPart(kind, name, self.names(kind))
        return offer

    def names(self, kind: Kind) -> list[str]:
        """The names offered for a kind, sorted."""
        self._check_kind(kind)
        return sorted(name for of_kind, name in self._offers if of_kind == kind)

    def offers(self) -> Iterator[Offer]:
        """All offers, sorted by kind (in the order of ``KINDS``) and name."""
        ordered = sorted(self._offers.values(), key=lambda offer: (KINDS.index(offer.kind), offer.name))
        return iter(ordered)

    def build(self, kind: Kind, part: Any, **options: Any) -> Any:
        """A part from what a recipe says.

        :param part: A line such as ``"top-k=50,min_tokens_to_keep=2"`` (see
            ``decodeplug.spec``), a mapping ``{"name": "top-k", "k": 50}``, or the
            part itself, which is returned as it is.
        :param options: Further options, passed to the factory as they are.
        :raises UnknownPart: No plugin offers it.
        :raises BadOption: An option does not exist, is missing or has a wrong value.
        :raises PluginError: The factory failed; names the distribution.
        """
        if isinstance(part, str | Mapping):
            spec = Spec.of(part)
            return build(self.get(kind, spec.name), spec, options)
        self._check_kind(kind)
        if options:
            raise BadOption(kind, wanted=f"a name to go with the options, but got the object {part!r}", **options)
        return part

    @contextmanager
    def offered_by(self, distribution: str, version: str = "") -> Iterator[Registry]:
        """While this is open, offers count as that distribution's. If it fails, they are all taken back."""
        before, offering = dict(self._offers), self._offering
        self._offering = (distribution, version)
        try:
            yield self
        except BaseException:
            self._offers = before
            raise
        finally:
            self._offering = offering

    def _offer(self, kind: Kind, name: str, factory: Factory) -> None:
        distribution, version = self._offering
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadOption(kind, name=name, wanted="lower-case words and digits joined by dashes, such as 'min-p'")
        if not callable(factory) and not (isinstance(factory, str) and factory.count(":") == 1):
            raise BadOption(
                f"{kind} {name!r}", factory=factory, wanted="something to call, or 'package.module:attribute'"
            )
        taken = self._offers.get((kind, name))
        if taken is not None and taken.distribution == distribution:
            raise BadOption(kind, name=name, wanted=f"a name that {distribution} has not offered before")
        if taken is not None:
            raise NameTaken(kind, name, taken.distribution, distribution)
        self._offers[kind, name] = Offer(kind, name, factory, distribution, version)

    @staticmethod
    def _check_kind(kind: Kind) -> None:
        if kind not in KINDS:
            raise UnknownPart("kind of part", kind, KINDS)
