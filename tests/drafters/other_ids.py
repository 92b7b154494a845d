"""The same model with the same words under other ids: an assistant with a tokenizer of its own that often agrees."""

from __future__ import annotations

import copy
import json
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from decodeplug import Host

__all__ = ["with_other_ids"]


def with_other_ids(model: Any, tokenizer: Any) -> Host:
    """A host around a copy of a model that says what the model says, with the ids of all ordinary tokens reversed.

    :param model: Its rows behind the tokenizer's ids are left where they are; not modified.
    """
    facts = json.loads(tokenizer.backend_tokenizer.to_str())
    last = len(facts["model"]["vocab"]) - 1
    facts["model"]["vocab"] = {token: last - index for token, index in facts["model"]["vocab"].items()}
    other = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(facts)),
        pad_token=tokenizer.pad_token,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        clean_up_tokenization_spaces=False,
    )
    moved = copy.deepcopy(model)
    with torch.no_grad():
        layers = (moved.get_input_embeddings(), moved.get_output_embeddings())
        for weight in {layer.weight.data_ptr(): layer.weight for layer in layers}.values():  # tied ones once
            weight[: last + 1] = weight[: last + 1].flip(0)
    return Host(moved, other, plugins=[])
