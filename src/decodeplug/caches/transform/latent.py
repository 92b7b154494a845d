"""The cache that keeps components of older keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from decodeplug.caches.coded import CodedLanes, Horizon
from decodeplug.caches.seam import LayerPlan
from decodeplug.caches.transform.allocation import WIDTHS, allocate
from decodeplug.caches.transform.calibrated import FILE, Calibration
from decodeplug.caches.transform.components import Components
from decodeplug.caches.transform.rotary import Turns
from decodeplug.errors import BadOption
from decodeplug.whole import whole_number

__all__ = ["Latent"]

_STEP = 64  # ids that are coded together


@dataclass(frozen=True, slots=True)
class Latent:
    """Older keys and values by components, each in as many bits as it is worth: an approximation.

    :param calibration: The folder that ``decodeplug cache calibrate`` wrote for this model.
    :param bits: For a number of keys and values, on the average over all layers; None: as it was calibrated for.
    :param widths: Bits that a component may have, of 0, 1, 2, 3, 4, 6, 8 and 16. ``(0, 16)``: low rank, and nothing rounded.
    :param window: Ids at the end that stay as they are, at least so many. :param first: And at the beginning of each text.
    :raises BadOption: An option is out of its range, or there is no calibration.
    Source: components of keys and values together, weighted by the Fisher information: Goyal 2001, "Theoretical foundations of
    transform coding", sections III and IV; widths for components: see :func:`allocate`.
    """

    calibration: str
    bits: float | None = None
    widths: Sequence[int] = WIDTHS
    window: int = 128
    first: int = 4
    name: ClassVar[str] = "latent"
    exact: ClassVar[bool] = False
    can_rewind: ClassVar[bool] = True

    def __post_init__(self) -> None:
        part = "cache 'latent'"
        object.__setattr__(self, "calibration", str(self.calibration))
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.bits is not None and (isinstance(self.bits, bool) or not isinstance(self.bits, int | float)):
            raise BadOption(part, bits=self.bits, wanted="a number, or None")
        if self.bits is not None and not 0 < self.bits <= WIDTHS[-1]:
            raise BadOption(part, bits=self.bits, wanted=f"more than 0 and at most {WIDTHS[-1]}")
        if not set(self.widths) <= set(WIDTHS) or not set(self.widths) - {0}:
            raise BadOption(part, widths=self.widths, wanted=f"some of {', '.join(map(str, WIDTHS))}")
        whole_number(part, "window", self.window, 1)
        whole_number(part, "first", self.first, 0, _STEP - 1)

    def check(self, plan: LayerPlan) -> None:
        """Refuse a model that this calibration is not of.

        :raises IncompatibleParts: It is another one. :raises BadOption: There is no calibration.
        """
        self._read().check(plan.model, self.calibration)

    def open(self, plan: LayerPlan) -> CodedLanes:
        """A new cache without lanes; memory is taken by the first forward."""
        found = self._read()
        known, codecs = plan.shared.get(self, (None, ()))
        if known is not found:
            given = allocate([layer.losses for layer in found.layers], self.bits or found.bits, self.widths)
            turns: dict[bytes, Turns] = {}  # layers mostly have the same rotation
            codecs = [Components(layer, bits, _STEP, turns) for layer, bits in zip(found.layers, given, strict=True)]
            plan.shared[self] = found, codecs
        return CodedLanes(plan, Horizon(self.first, self.window, _STEP), codecs.__getitem__)

    def _read(self) -> Calibration:
        path = Path(self.calibration).expanduser()
        try:
            changed = (path / FILE).stat().st_mtime_ns
        except OSError:
            changed = 0
        return _read(self.calibration, changed)


@lru_cache(maxsize=4)
def _read(folder: str, changed: int) -> Calibration:
    """Read once as long as the file is the same one."""
    return Calibration.load(folder)
