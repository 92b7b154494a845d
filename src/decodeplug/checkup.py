"""What is installed, who offers what, and what fits with what."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decodeplug.discovery import Plugins
    from decodeplug.host import Host

__all__ = ["Report", "doctor"]

_LIBRARIES = ("decodeplug", "torch", "transformers", "llguidance", "pluggy", "jsonschema", "pydantic")


@dataclass(frozen=True, slots=True)
class Report:
    """What ``doctor()`` found. ``to_dict()`` is JSON-serialisable.

    :ivar versions: Library -> installed version, or "not installed".
    :ivar plugins: Distribution -> version. :ivar failures: Distribution -> why it is left out.
    :ivar parts: Kind -> names.
    :ivar fits: ``(part, other, "works" or the reason why not)`` for every pair that is ever refused.
    :ivar model: With a host: its model, path, window and vocabulary.
    :ivar advice: What to do about what is wrong; empty if nothing is.
    """

    versions: dict[str, str]
    plugins: dict[str, str]
    failures: dict[str, str]
    parts: dict[str, list[str]]
    fits: list[tuple[str, str, str]]
    model: dict[str, Any] = field(default_factory=dict)
    advice: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def doctor(host: Host | None = None) -> Report:
    """Look at this installation, and at a host if one is given.

    :param host: Its model's path is explained, and its plugins are the ones that are listed.
    """
    from decodeplug.discovery import Plugins

    plugins = host.plugins if host is not None else Plugins.load()
    registry = plugins.registry
    kinds = dict.fromkeys(offer.kind for offer in registry.offers())
    failures = {name: str(error) for name, error in plugins.failures}
    return Report(
        versions={"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}},
        plugins={source.distribution: source.version for source in plugins.loaded},
        failures=failures,
        parts={kind: registry.names(kind) for kind in kinds},
        fits=_fits(plugins),
        model={} if host is None else _model(host),
        advice=[f"{name} is left out: repair it, or uninstall it" for name in failures] + _advice(),
    )


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _fits(plugins: Plugins) -> list[tuple[str, str, str]]:
    """Every selector and every cache with every drafter, from what they claim."""
    registry = plugins.registry
    drafters = [name for name in registry.names("drafter") if name != "none"]
    rows = []
    for kind, claim, reason in (
        ("selector", "takes_drafts", "it takes no drafts"),
        ("cache", "can_rewind", "it cannot be rewound"),
    ):
        for name in registry.names(kind):
            works = getattr(registry.get(kind, name).factory, claim, True)
            rows += [(f"{kind} {name!r}", f"drafter {drafter!r}", "works" if works else reason) for drafter in drafters]
    return rows


def _model(host: Host) -> dict[str, Any]:
    target = host.target
    return {
        "class": type(target.module).__name__,
        "type": target.config.model_type,
        "path": target.path,
        "path_reason": target.path_reason,
        "drafts": target.can_rewind,
        "device": str(target.device),
        "dtype": str(target.dtype).removeprefix("torch."),
        "context_window": target.context_window,
        "logits": target.vocab_size,
        "tokenizer": None if host.tokenizer is None else len(host.tokenizer),
        "end_ids": sorted(host.end_ids),
    }


def _advice() -> list[str]:
    from decodeplug.embedded import cache_folder, embedded_source
    from decodeplug.errors import ModelMissing

    try:
        embedded_source()
    except ModelMissing as missing:
        return [f"the embedded model is not installed: {missing.command}"]
    if not any(cache_folder().glob("smollm2-*/config.json")):
        return ["the embedded model is converted when it is first used, which takes about half a minute"]
    return []
