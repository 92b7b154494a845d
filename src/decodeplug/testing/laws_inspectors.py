"""The laws of an inspector: it reads, changes nothing, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from decodeplug.testing.claim import claim, declared_name

__all__ = ["check_inspector"]


def check_inspector(
    inspector: Any,
    host: Any,
    prompts: Sequence[Any] = ("The bear ", "{"),
    *,
    max_new_tokens: int = 20,
    **options: Any,
) -> None:
    """Check that an inspector keeps its contract (``decodeplug.contracts.Inspector``).

    :param inspector: The part, or a class or function that makes one; then each run gets a fresh one.
    :param host: A ``decodeplug.Host``, best around a ``tiny_model``.
    :param prompts: What to continue with and without it.
    :param options: Further options of ``host.generate`` for both runs.
    :raises AssertionError: A law is broken; the message says which.
    """

    def make() -> Any:
        return inspector() if callable(inspector) else inspector

    name = declared_name(make())
    host.generate(prompts[0], max_new_tokens=1)  # what the host itself sets up is not the inspector's doing
    before = _traces(host.model)
    for prompt in prompts:
        given = {"max_new_tokens": max_new_tokens, **options}
        plain = host.generate(prompt, **given)
        watched = host.generate(prompt, inspectors=[make()], **given)
        claim(
            list(watched.token_ids) == list(plain.token_ids),
            f"inspector {name} changes the text of {prompt!r}: {watched.token_ids} instead of {plain.token_ids}",
        )
        claim(name in watched.reports, f"inspector {name} left no report; there are {sorted(watched.reports)}")
        _check_untouched(name, host.model, before, "after a run")
    _check_exception(make(), name, host.model)
    _check_untouched(name, host.model, before, "after a run that failed")


def _check_exception(inspector: Any, name: str, model: Any) -> None:
    device = next(model.parameters()).device
    try:
        with inspector.attach(model), torch.no_grad():
            model(torch.zeros((1, 3), dtype=torch.int64, device=device))
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        return
    claim(False, f"inspector {name} swallowed an exception (KeyboardInterrupt) in attach")


def _traces(model: Any) -> dict[str, Any]:
    """All that an inspector could leave in a model, by where it is."""
    traces: dict[str, Any] = {"the configuration": str(model.config)}
    for path, module in model.named_modules():
        where = path or "the model"
        for attribute, value in vars(module).items():
            if attribute.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and isinstance(value, dict):
                # transformers hooks its own layers, for good, when hidden states or router logits are first asked for.
                own = [key for key, hook in value.items() if not _is_of_transformers(hook)]
                traces[f"{attribute} of {where}"] = tuple(own)
        traces[f"forward of {where}"] = vars(module).get("forward")
        traces[f"training mode of {where}"] = module.training
    for path, parameter in model.named_parameters():
        traces[f"parameter {path}"] = (parameter.data_ptr(), parameter._version)
    return traces


def _is_of_transformers(hook: Any) -> bool:
    return (getattr(hook, "__module__", None) or "").partition(".")[0] == "transformers"


def _check_untouched(name: str, model: Any, before: dict[str, Any], when: str) -> None:
    now = _traces(model)
    for what in sorted(before.keys() | now.keys()):
        claim(
            before.get(what) == now.get(what),
            f"inspector {name} left something behind {when}: {what} is not what it was",
        )
