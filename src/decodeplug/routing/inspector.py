"""The inspector of mixture-of-experts routing."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, ClassVar

import torch

from decodeplug.routing.report import Routing, load_of
from decodeplug.routing.tap import RoutingTap
from decodeplug.watching import Watched

__all__ = ["MoERouting"]


class MoERouting:
    """Reports which experts computed each token: ``result.reports["moe-routing"]`` is a :class:`Routing`.

    Of every strategy, only tokens that the text has count; drafts that were rejected and hypotheses that were given up are
    counted apart. The report is None if nothing was computed.

    :raises IncompatibleParts: The model has no mixture-of-experts layers that are known.
    """

    name: ClassVar[str] = "moe-routing"

    def __init__(self) -> None:
        self._report: Routing | None = None

    def attach(self, model: Any) -> Any:
        """Nothing: it looks through its tap."""
        return contextlib.nullcontext()

    def tap(self, model: Any) -> RoutingTap:
        return RoutingTap(model)

    def step(self, step: Any) -> None:
        """Nothing: what was seen comes at the end."""

    @torch.inference_mode(False)
    def see(self, watched: Watched) -> None:
        tap: RoutingTap = watched.tap
        first, *others = [
            Routing.from_rows(tap, text.rows, text.ids[: len(text.rows)], text.prompt_length) for text in watched.texts
        ]
        rejected, dropped = (tap.unpack(rows.cpu()).experts for rows in (watched.rejected, watched.dropped))
        count = first.probs.shape[-1]
        self._report = replace(
            first, rejected=load_of(rejected, count), dropped=load_of(dropped, count), alternatives=others
        )

    def report(self) -> Routing | None:
        return self._report
