"""The quantized caches of transformers, as a cache like any other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from transformers.cache_utils import Cache, QuantizedCache

from decodeplug.caches.seam import LayerPlan
from decodeplug.errors import BadOption, IncompatibleParts

__all__ = ["TransformersQuantized"]

_PART = "cache 'transformers-quantized'"


@dataclass(frozen=True, slots=True)
class TransformersQuantized:
    """transformers' ``QuantizedCache``: an approximation. Texts are those of ``generate(cache_implementation="quantized")``.

    Each lane has one of its own and is fed one id at a time, as ``generate()`` feeds it: what is quantised, and when, depends on
    how it is fed. So it takes no drafts; beams and samples copy it where they fork. The cache ``quantised`` is this project's.

    :param backend: "quanto", "hqq" or "fp8". The first two are packages of their own, ``optimum-quanto`` and ``hqq``.
    :param nbits: Bits of a number. None, here and below: what the backend takes. "fp8" has none of these options.
    :param axis_key: Along which axis keys are grouped. :param axis_value: And values.
    :param q_group_size: Numbers that have a scale in common. :param residual_length: Ids at the end that stay as they are, at most.
    """

    backend: str = "quanto"
    nbits: int | None = None
    axis_key: int | None = None
    axis_value: int | None = None
    q_group_size: int | None = None
    residual_length: int | None = None
    name: ClassVar[str] = "transformers-quantized"
    exact: ClassVar[bool] = False
    can_rewind: ClassVar[bool] = False

    def check(self, plan: LayerPlan) -> None:
        """Try whether the backend is here, takes these options and has layers for this model.

        :raises BadOption: It is not, or does not. :raises IncompatibleParts: It has none.
        """
        config = plan.model.config
        if not plan.model._supports_default_dynamic_cache() or set(plan.kinds) != {"full_attention"}:
            raise IncompatibleParts(
                _PART,
                type(plan.model).__name__,
                because="transformers quantizes only layers of full attention, and this model has others",
                instead="Use cache='quantised'",
            )
        try:
            self.make_for_lane(config)
        except (ImportError, ValueError) as error:
            raise BadOption(_PART, **self._given(), wanted=f"what its backend takes: {error}") from error

    def make_for_lane(self, config: Any) -> Cache:
        """The cache of one lane.

        :param config: Of the model; not modified.
        """
        return QuantizedCache(config=config, **self._given())

    def open(self, plan: LayerPlan) -> None:
        """Lanes do not share one."""

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}
