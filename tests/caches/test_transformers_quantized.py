"""transformers' quantized caches through the door of ours: the texts of ``generate()`` with them, and one error where they cannot be."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from decodeplug import Host, Request, json_schema
from decodeplug.caches import TransformersQuantized
from decodeplug.errors import BadOption, IncompatibleParts
from decodeplug.target import Target
from decodeplug.testing import bpe_tokenizer, tiny_model

FP8 = "transformers-quantized=backend=fp8"
PROMPTS = ["The bear reads a book about the moon, and then " * 3, "The bear ", "Where is the river? There, " * 2]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"strategy": "sample", "processors": ["temperature=0.9"], "seed": 3},
    {"num_beams": 3, "num_return_sequences": 3},
    {"strategy": "self-consistency", "n": 3, "answer": "[a-z]+", "seed": 1},
]


@pytest.fixture(scope="module")
def host() -> Host:
    tokenizer = bpe_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer), dtype=torch.float32), tokenizer, plugins=[])


def theirs(host: Host, prompt: str, **options: Any) -> list[int]:
    ids = torch.tensor([host.tokenizer(prompt).input_ids])
    model: Any = host.model
    given = {"max_new_tokens": 24, "do_sample": False, "eos_token_id": -1, "pad_token_id": 0, **options}
    found = model.generate(ids, attention_mask=torch.ones_like(ids), **given)
    return found[0, ids.shape[1] :].tolist()


def test_the_texts_are_those_of_generate(host: Host) -> None:
    said = {"cache_implementation": "quantized", "cache_config": {"backend": "fp8"}}
    found = [host.generate(prompt, cache=FP8, max_new_tokens=24, end_ids=[]) for prompt in PROMPTS]
    assert [result.token_ids for result in found] == [theirs(host, prompt, **said) for prompt in PROMPTS]
    exact = [host.generate(prompt, max_new_tokens=24, end_ids=[]).token_ids for prompt in PROMPTS]
    assert [result.token_ids for result in found] != exact  # so it was used
    dense = host.generate(PROMPTS[0], max_new_tokens=24, end_ids=[], drafters=[]).trace.cache["bytes"]
    assert 0 < found[0].trace.cache["bytes"] < dense


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: str(options.get("strategy", options)))
def test_a_batch_writes_what_each_text_is_alone(host: Host, options: dict[str, Any]) -> None:
    given = {"cache": FP8, "max_new_tokens": 10, **options}
    alone = [host.generate(prompt, **given) for prompt in PROMPTS]
    together = host.generate_batch([Request(prompt, **given) for prompt in PROMPTS])
    assert [[one.token_ids for one in (result, *result.alternatives)] for result in together] == [
        [one.token_ids for one in (result, *result.alternatives)] for result in alone
    ]


def test_structured_results_are_valid_and_defaults_are_left_out(host: Host) -> None:
    schema = {"type": "array", "items": {"enum": ["red", 12]}, "maxItems": 3}
    result = host.generate("The bear ", constraint=json_schema(schema), cache=FP8, max_new_tokens=40)
    assert set(result.value) <= {"red", 12}
    assert result.trace.notes == ["no drafts: cache 'transformers-quantized' cannot be rewound"]
    with pytest.raises(IncompatibleParts, match="cannot be rewound"):
        host.generate("The bear ", cache=FP8, drafters=["lookup"])


def test_generate_with_the_loop_of_a_host_takes_the_cache_that_its_config_names(host: Host) -> None:
    said = {"cache_implementation": "quantized", "cache_config": {"backend": "fp8"}}
    assert theirs(host, PROMPTS[0], custom_generate=host.custom_generate(), **said) == theirs(host, PROMPTS[0], **said)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"backend": "fp8", "nbits": 4}, r"nbits=4.*does not support \['nbits'\]"),
        ({"backend": "int3"}, "Unknown quantization backend"),
        ({"backend": "quanto"}, "install optimum-quanto"),
        ({"backend": "hqq"}, "install `HQQ`"),
    ],
)
def test_what_a_backend_does_not_take_is_one_error(
    host: Host, options: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils: Any = sys.modules[DynamicCache.__module__]
    for name in ("is_optimum_quanto_available", "is_hqq_available"):
        monkeypatch.setattr(utils, name, lambda: False)
    with pytest.raises(BadOption, match=match):
        host.generate("The bear ", cache={"name": "transformers-quantized", **options})
    assert host.generate("The bear ", max_new_tokens=2).token_ids


@pytest.mark.parametrize("kind", ["gemma3", "mistral", "qwen3-next", "mamba"])
def test_models_with_other_layers_are_refused(kind: str) -> None:
    with pytest.raises(IncompatibleParts, match="full attention"):
        Target(tiny_model(kind)).session(TransformersQuantized("fp8"))


class Sealed(torch.Tensor):
    """A tensor around another one that cannot be copied, as those of quantisation packages are."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Sealed:
        made: Any = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
        made.inner = inner
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], *rest: Any) -> Sealed:
        return Sealed(inner["inner"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise TypeError(f"{func} is not for sealed tensors")  # copying one would need it


class SealedLayer(DynamicLayer):
    def update(self, key_states: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        found = super().update(key_states, *args, **kwargs)
        self.sealed = Sealed(torch.zeros(100, dtype=torch.uint8))
        return found


def test_tensors_that_cannot_be_copied_are_shared_and_counted_by_what_they_are_made_of() -> None:
    def make(config: Any) -> DynamicCache:
        cache: Any = DynamicCache(config=config)
        cache.layers = [SealedLayer() for _ in range(2)]
        return cache

    target = Target(tiny_model())
    plain, sealed = (target._as_generate_does(wide=False, remember=True, make_cache=made) for made in (None, make))
    for session in (plain, sealed):
        session.keep([-1], [0])
        session.forward([[5, 6, 7]], [1])
        session.keep([0, 0], [3, 3])
    assert sealed.bytes() == plain.bytes() + 2 * 2 * 100
    torch.testing.assert_close(sealed.forward([[8], [9]], [1, 1]), plain.forward([[8], [9]], [1, 1]))


def test_prompts_are_fed_whole_whatever_a_forward_may_have() -> None:
    tokenizer = bpe_tokenizer()
    model = tiny_model(vocab=len(tokenizer), dtype=torch.float32)
    with Host(model, tokenizer, plugins=[], max_batch_tokens=8) as narrow, Host(model, tokenizer, plugins=[]) as wide:
        requests = [Request(prompt, cache=FP8, max_new_tokens=12, end_ids=[]) for prompt in PROMPTS]
        found = [[result.token_ids for result in one.generate_batch(requests)] for one in (narrow, wide)]
    assert found[0] == found[1]


def test_a_call_that_wants_no_cache_is_not_quantised(host: Host) -> None:
    said = {"cache_implementation": "quantized", "cache_config": {"backend": "fp8"}, "use_cache": False}
    assert theirs(host, PROMPTS[0], custom_generate=host.custom_generate(), **said) == theirs(host, PROMPTS[0])
