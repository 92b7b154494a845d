"""The only file that knows the inputs of transformers' models.

Which of ``input_ids``, ``attention_mask``, ``position_ids``, ``cache`` and
``logits_to_keep`` a model takes is read from its signature once.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from decodeplug.errors import UnsupportedModel
from decodeplug.placing import placing
from decodeplug.taps import Taps

__all__ = ["GenerateInputs", "ModelInputs", "StepInputs", "columns_wanted", "pad_feeds", "prompts_kept"]

TABLE = 4096
"""Positions of the table that the inputs of one lane are sliced from, at first."""
AHEAD = 64
"""Steps that inputs are made for at once."""


class ModelInputs:
    """Calls one model with ids, positions and a cache.

    :param module: The model, for its signature and config.
    :param call: What is really called: the model, or its compiled form.
    :param passes_positions: It takes ``position_ids`` although its signature does not say so.
    """

    def __init__(self, module: Any, call: Any, *, passes_positions: bool = False) -> None:
        takes = inspect.signature(module.forward).parameters
        self.call = call
        self.takes_positions = passes_positions or "position_ids" in takes
        self.takes_mask = "attention_mask" in takes
        self.takes_keep = "logits_to_keep" in takes
        self.takes_use_cache = "use_cache" in takes
        self.dtype: torch.dtype = module.dtype
        self.fixed: dict[str, Any] = {}
        if getattr(module.config, "return_dict", True) is False:
            self.fixed["return_dict"] = True
        self.device: torch.device = module.get_input_embeddings().weight.device
        self._table = torch.arange(TABLE, device=self.device).unsqueeze(0)
        self._ones = torch.ones((1, TABLE), dtype=torch.bool, device=self.device)

    def ids(self, feeds: Sequence[Sequence[int]]) -> Tensor:
        """Equally long feeds as ``[lanes, width]`` int64."""
        return torch.tensor(feeds).to(self.device, non_blocking=True)

    def straight(self, start: int, width: int) -> Tensor:
        """Positions ``start .. start + width`` of one lane, ``[1, width]`` int64."""
        if start + width > self._table.shape[1]:
            self._table = torch.arange(2 * (start + width), device=self.device).unsqueeze(0)
        return self._table.narrow(1, start, width)

    def nothing_masked(self, lanes: int, length: int) -> Tensor:
        """A mask of ones ``[lanes, length]``, bool."""
        ones = self._ones
        if length > ones.shape[1]:
            ones = self._ones = torch.ones((1, 2 * length), dtype=torch.bool, device=self.device)
        ones = ones.narrow(1, 0, length)
        return ones if lanes == 1 else ones.expand(lanes, -1)

    def __call__(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor | None = None,
        cache: Any = None,
        *,
        keep: int | Tensor = 0,
        use_cache: bool = True,
        taps: Taps | None = None,
    ) -> Any:
        """Run the model.

        :param ids: ``[lanes, width]`` int64. :param positions: The same shape.
        :param mask: ``[lanes, length]`` over all slots, old and new; linear layers must get none.
        :param keep: How many last columns, or which columns, logits are wanted of; 0 is all.
            A model that cannot choose gives all columns.
        :param taps: What looks at the forward.
        :returns: The model's output; ``output.logits`` ``[lanes, columns, vocab]``.
        """
        given = dict(self.fixed)
        if self.takes_positions:
            given["position_ids"] = positions
        if self.takes_mask and mask is not None:
            given["attention_mask"] = mask
        if self.takes_keep:
            given["logits_to_keep"] = keep
        if cache is not None:
            given["cache"] = cache
        if self.takes_use_cache:
            given["use_cache"] = use_cache
        token = placing.set(positions)
        try:
            if not taps:
                return self.call(input_ids=ids, **given)
            with taps.opened():
                return self.call(input_ids=ids, **given)
        finally:
            placing.reset(token)


class StepInputs:
    """Inputs of one lane that is fed one id at a time, made for a block of steps ahead.

    A tensor operation after a forward, which leaves the processor's caches cold, costs ten
    times what it costs in a row with others of its kind.

    :param masked: Make masks as well.
    """

    def __init__(self, inputs: ModelInputs, *, masked: bool) -> None:
        self._inputs, self._masked = inputs, masked
        self._on_cpu = inputs.device.type == "cpu"
        self._first = self._next = 0
        self._positions: Sequence[Tensor] = ()
        self._masks: Sequence[Tensor | None] = ()
        self._ids: list[tuple[Any, Tensor]] = []

    def at(self, token: int, position: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Id ``[1, 1]``, position ``[1, 1]`` and a mask of ones ``[1, position + 1]``."""
        index = position - self._first
        if not 0 <= index < len(self._positions):
            # Lanes that take turns are not at positions in a row: nothing is made ahead for them.
            ahead = AHEAD if position == self._next else 1
            inputs, self._first, index = self._inputs, position, 0
            self._positions = inputs.straight(position, ahead).split(1, dim=1)
            lengths = range(position + 1, position + ahead + 1)
            self._masks = [inputs.nothing_masked(1, length) if self._masked else None for length in lengths]
        self._next = position + 1
        return self._id(token), self._positions[index], self._masks[index]

    def _id(self, token: int) -> Tensor:
        if not self._on_cpu:
            return torch.full((1, 1), token, dtype=torch.int64, device=self._inputs.device)
        if not self._ids:
            # Each tensor is given away once: who keeps the ids of a step shall not see them change.
            tensors = torch.empty((AHEAD, 1, 1), dtype=torch.int64)
            self._ids = list(zip(tensors.numpy(), tensors.unbind(), strict=True))
        place, ids = self._ids.pop()
        place[0, 0] = token
        return ids


def pad_feeds(feeds: Sequence[Sequence[int]], starts: Sequence[int], width: int) -> Tensor:
    """Ids and positions of a ragged forward: ``[2, lanes, width]`` int64, on the CPU.

    A padding row repeats its lane's last id and position, so that no position
    lies outside the model's table and every row sees at least one real slot.
    """
    ids, positions = [], []
    for feed, start in zip(feeds, starts, strict=True):
        count = len(feed)
        missing = width - count
        last = max(start + count - 1, 0)
        ids.append([*feed, *([feed[-1] if count else 0] * missing)])
        positions.append([*range(start, start + count), *([last] * missing)])
    return torch.tensor([ids, positions])


def prompts_kept(prompts: Sequence[int], parents: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """How much of each lane is prompt after a keep: never more than is left of it; 0 for a new lane.

    A lane of which nothing is kept is not a new one: it will be fed from its first id again.
    """
    return [
        0 if parent < 0 else min(prompts[parent], length or prompts[parent])
        for parent, length in zip(parents, lengths, strict=True)
    ]


def columns_wanted(
    counts: Sequence[int], wants: Sequence[int], width: int, *, whole: bool = False
) -> tuple[int | list[int], list[int], list[int]]:
    """Which columns of a ragged forward logits are wanted of.

    :param whole: Keep all columns from the first wanted one on.
    :returns: What ``logits_to_keep`` shall be (a number of last columns, or a
        list of columns), and for each wanted row its lane and its column among those kept.
    """
    columns = sorted(
        {column for count, want in zip(counts, wants, strict=True) for column in range(count - want, count)}
    )
    if not columns:
        return 1, [], []
    first = columns[0]
    if whole:
        columns = list(range(first, width))
    if columns[-1] == width - 1 and len(columns) == width - first:
        keep: int | list[int] = len(columns)
    else:
        keep = columns
    place = {column: index for index, column in enumerate(columns)}
    lanes = [lane for lane, want in enumerate(wants) for _ in range(want)]
    where = [place[column] for count, want in zip(counts, wants, strict=True) for column in range(count - want, count)]
    return keep, lanes, where


class GenerateInputs:
    """Feeds one lane the way ``generate()`` does, with the model's own preparation of its inputs.

    :param make_cache: Of the model's config, the cache of a lane; None: as ``generate()`` makes it.
    """

    def __init__(self, module: Any, call: Any, make_cache: Callable[[Any], Any] | None = None) -> None:
        self.module, self.call, self.make_cache = module, call, make_cache
        self.dtype: torch.dtype = module.dtype
        self.device: torch.device = module.get_input_embeddings().weight.device
        self.takes_positions = "position_ids" in inspect.signature(module.forward).parameters

    def step(
        self, ids: Sequence[int], state: dict[str, Any] | None, width: int, taps: Taps
    ) -> tuple[Tensor, dict[str, Any]]:
        """Feed the last ``width`` of ``ids``, which are all ids of the lane.

        :param state: What the last step returned, or None for a lane's first one.
        :returns: Logits ``[rows, vocab]`` whose last rows are those of the new ids (all new
            ids where the model gives them), and the next state.
        """
        all_ids = torch.tensor([ids]).to(self.device, non_blocking=True)
        first = state is None
        if state is None:
            state = self._first_state(all_ids)
        else:
            state = dict(
                self.module._update_model_kwargs_for_generation(state.pop("output"), state, num_new_tokens=width)
            )
        given = self.module.prepare_inputs_for_generation(
            all_ids, next_sequence_length=None if first else width, is_first_iteration=first, **state
        )
        rows = given["input_ids"].shape[1]
        token = placing.set(torch.arange(len(ids) - rows, len(ids), device=self.device)[None])
        try:
            with taps.opened():
                output = self.call(**given, return_dict=True)
        finally:
            placing.reset(token)
        state["output"] = _without_logits(output)
        return output.logits[0], state

    def _first_state(self, all_ids: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = {"attention_mask": None, "use_cache": True}
        if self.takes_positions:
            state["position_ids"] = self.module._prepare_position_ids_for_generation(all_ids, state)
        if self.make_cache is not None:
            state["cache"] = self.make_cache(self.module.config)
        elif self.module._supports_default_dynamic_cache():
            state["cache"] = self._own_cache()
        return state

    def _own_cache(self) -> DynamicCache:
        try:
            return DynamicCache(config=self.module.config.get_text_config(decoder=True))
        except KeyError as unknown:
            because = f"transformers has no cache for layers of the kind {unknown}"
            raise UnsupportedModel(type(self.module).__name__, because=because, instead="Use cache='none'") from unknown


def _without_logits(output: Any) -> Any:
    """A model's output without its largest tensor, for the state is copied now and then."""
    slim = copy.copy(output)
    slim["logits"] = slim["logits"][:, :0]
    return slim
