"""The laws of an intervention: it changes its own request and no other, and puts everything back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from decodeplug.testing.claim import claim, declared_name
from decodeplug.testing.laws_inspectors import check_untouched, traces

__all__ = ["check_intervention"]


def check_intervention(
    intervention: Any,
    host: Any,
    prompts: Sequence[Any] = ("The bear ", "{"),
    *,
    max_new_tokens: int = 20,
    **options: Any,
) -> None:
    """Check that an intervention keeps its contract (``decodeplug.contracts.Intervention``).

    Its text is a function of the request: the same alone and in a batch, with drafts and without. Requests without it have
    the text that they have without it, and nothing of it is left in the model, also after an exception.

    :param intervention: The part.
    :param host: A ``decodeplug.Host`` around a model that it changes, best a ``tiny_model``.
    :param prompts: What to continue. :param options: Further options of ``host.generate`` for all runs.
    :raises AssertionError: A law is broken; the message says which.
    """
    from decodeplug.request import Request

    name, given = declared_name(intervention), {"max_new_tokens": max_new_tokens, **options}
    host.generate(prompts[0], max_new_tokens=1)  # what the host itself sets up is not the intervention's doing
    before = traces(host.model)
    plain = [host.generate(prompt, **given).token_ids for prompt in prompts]
    alone = [host.generate(prompt, interventions=[intervention], **given).token_ids for prompt in prompts]
    _same(f"intervention {name} is not undone", plain, [host.generate(prompt, **given).token_ids for prompt in prompts])
    mixed = [Request(prompt, interventions=parts, **given) for prompt in prompts for parts in ([], [intervention])]
    together = [result.token_ids for result in host.generate_batch(mixed)]
    _same(f"intervention {name} changes other requests of a batch", plain, together[::2])
    _same(f"intervention {name} gives another text in a batch", alone, together[1::2])
    drafted = [
        host.generate(prompt, interventions=[intervention], drafters=["lookup"], reference=[ids], **given).token_ids
        for prompt, ids in zip(prompts, alone, strict=True)
    ]
    _same(f"intervention {name} gives another text with drafts", alone, drafted)
    check_untouched(f"intervention {name}", host.model, before, "after a run")
    _check_exception(intervention, name, host.target.module)
    check_untouched(f"intervention {name}", host.model, before, "after a run that failed")


def _same(says: str, wanted: Sequence[Any], found: Sequence[Any]) -> None:
    for one, other in zip(wanted, found, strict=True):
        claim(list(one) == list(other), f"{says}: {list(other)} instead of {list(one)}")


def _check_exception(intervention: Any, name: str, model: Any) -> None:
    device = next(model.parameters()).device

    def fails(*_: Any) -> None:
        raise KeyboardInterrupt

    last = [module for module in model.modules() if not list(module.children())][-1]
    handle = last.register_forward_hook(fails)
    try:
        with intervention.attach(model), torch.no_grad():
            model(torch.zeros((1, 3), dtype=torch.int64, device=device))
    except KeyboardInterrupt:
        return
    finally:
        handle.remove()
    claim(False, f"intervention {name} swallowed an exception (KeyboardInterrupt) in attach")
