"""The laws of an inspector: it reads, changes nothing, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from decodeplug.testing.claim import claim, declared_name

__all__ = ["check_inspector", "check_untouched", "traces"]


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
    before = traces(host.model)
    for prompt in prompts:
        given = {"max_new_tokens": max_new_tokens, **options}
        plain = host.generate(prompt, **given)
        watched = host.generate(prompt, inspectors=[make()], **given)
        claim(
            list(watched.token_ids) == list(plain.token_ids),
            f"inspector {name} changes the text of {prompt!r}: {watched.token_ids} instead of {plain.token_ids}",
        )
        claim(name in watched.reports, f"inspector {name} left no report; there are {sorted(watched.reports)}")
        check_untouched(f"inspector {name}", host.model, before, "after a run")
    _check_exception(make(), name, host.model)
    check_untouched(f"inspector {name}", host.model, before, "after a run that failed")


def _check_exception(inspector: Any, name: str, model: Any) -> None:
    device = next(model.parameters()).device
    try:
        with inspector.attach(model), torch.no_grad():
            model(torch.zeros((1, 3), dtype=torch.int64, device=device))
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        return
    claim(False, f"inspector {name} swallowed an exception (KeyboardInterrupt) in attach")


def traces(model: Any) -> dict[str, Any]:
    """All that a part could leave in a model, by where it is."""
    found: dict[str, Any] = {"the configuration": str(model.config)}
    for path, module in model.named_modules():
        where = path or "the model"
        for attribute, value in vars(module).items():
            if attribute.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and isinstance(value, dict):
                # transformers hooks its own layers, for good, when hidden states or router logits are first asked for.
                own = [key for key, hook in value.items() if not _is_of_transformers(hook)]
                found[f"{attribute} of {where}"] = tuple(own)
        found[f"forward of {where}"] = vars(module).get("forward")
        found[f"training mode of {where}"] = module.training
        plain = {name: value for name, value in vars(module).items() if isinstance(value, bool | int | float | str)}
        # Of rotary frequencies, transformers remembers the longest text.
        found[f"attributes of {where}"] = {name: plain[name] for name in plain if "seq_len" not in name}
    for path, parameter in model.named_parameters():
        found[f"parameter {path}"] = (parameter.data_ptr(), parameter._version)
    return found


def _is_of_transformers(hook: Any) -> bool:
    return (getattr(hook, "__module__", None) or "").partition(".")[0] == "transformers"


def check_untouched(who: str, model: Any, before: dict[str, Any], when: str) -> None:
    """Claim that a model is as :func:`traces` found it before.

    :param who: The part, as messages name it. :param when: At which time it is looked at, likewise.
    """
    now = traces(model)
    # The configuration comes first: much else follows it.
    for what in sorted(before.keys() | now.keys(), key=lambda what: (what != "the configuration", what)):
        claim(before.get(what) == now.get(what), f"{who} left something behind {when}: {what} is not what it was")
