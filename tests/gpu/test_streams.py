"""Whatever stream the caller is on, masks are there before they are used."""

from __future__ import annotations

from typing import Any

import torch

from decodeplug import Host, regex
from decodeplug.testing import bpe_tokenizer, tiny_model


def test_a_constrained_text_is_the_same_on_a_stream_of_the_callers_own() -> None:
    tokenizer = bpe_tokenizer()
    model: Any = tiny_model(vocab=len(tokenizer))
    model.to("cuda")
    options = {"constraint": regex("[0-9]{4}-[0-9]{2}( [a-z]{2,8}){4,6}"), "do_sample": True, "max_new_tokens": 40}
    with Host(model, tokenizer, plugins=[]) as host:
        expected = [host.generate("The bear ", seed=seed, **options).token_ids for seed in range(8)]
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):
            found = [host.generate("The bear ", seed=seed, **options).token_ids for seed in range(8)]
    assert found == expected
