"""The host inside transformers: pipelines, custom_generate, streamers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import TextGenerationPipeline, TextIteratorStreamer, TextStreamer, pipeline

from decodeplug import Host, regex
from decodeplug.errors import BadOption, IncompatibleParts, UnsupportedModel

PROMPT = "The bear "
CHAT = [{"role": "user", "content": "hello"}]
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def stock(model: Any, tokenizer: Any) -> TextGenerationPipeline:
    return TextGenerationPipeline(model=model, tokenizer=tokenizer, task="text-generation", device="cpu")


@pytest.mark.parametrize(
    "inputs", [PROMPT, [PROMPT, "a longer text than that "], CHAT, [CHAT, CHAT]], ids=["text", "texts", "chat", "chats"]
)
@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 2}, {"return_full_text": False}, {"return_tensors": True}], ids=str
)
def test_a_pipeline_gives_what_the_stock_pipeline_gives(
    host: Host, stock: TextGenerationPipeline, inputs: Any, options: dict[str, Any]
) -> None:
    if options.get("batch_size", 1) > 1 and isinstance(inputs, list) and isinstance(inputs[0], str):
        # A padded batch of the stock pipeline is not exact; rows alone are.
        expected = [stock(text, **GREEDY) for text in inputs]
        assert host.pipeline()(inputs, **GREEDY, **options) == expected
        return
    assert host.pipeline()(inputs, **GREEDY, **options) == stock(inputs, **GREEDY, **options)


def test_a_pipeline_takes_options_of_ours_when_made_and_when_called(host: Host) -> None:
    made = host.pipeline(constraint=regex("[ab]{4}"))(PROMPT, return_full_text=False, **GREEDY)
    called = host.pipeline()(PROMPT, constraint=regex("[ab]{4}"), return_full_text=False, **GREEDY)
    assert made == called
    assert set(made[0]["generated_text"]) <= {"a", "b"}
    assert len(made[0]["generated_text"]) == 4


def test_several_sequences_and_sampling_repeat_with_torchs_seed(host: Host) -> None:
    pipe = host.pipeline()
    options = {"do_sample": True, "max_new_tokens": 8, "num_return_sequences": 3, "temperature": 0.9, "top_k": 20}
    torch.manual_seed(5)
    first = pipe(PROMPT, **options)
    torch.manual_seed(5)
    assert pipe(PROMPT, **options) == first
    assert len({row["generated_text"] for row in first}) == 3


def test_a_host_of_a_pipeline_has_its_model_and_tokenizer(stock: TextGenerationPipeline, model: Any) -> None:
    assert Host.from_pipeline(stock, plugins=[]).model is model
    with pytest.raises(UnsupportedModel, match="object"):
        Host.from_pipeline(object())


def test_generate_decodes_with_a_custom_generate(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt")
    plain = model.generate(**inputs, **GREEDY)
    assert torch.equal(model.generate(**inputs, custom_generate=host.custom_generate(), **GREEDY), plain)


def test_generate_with_padding_and_a_constraint(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer([PROMPT, "a longer text than that "], return_tensors="pt", padding=True)
    ids = model.generate(**inputs, custom_generate=host.custom_generate(constraint=regex("[ab]{3}")), **GREEDY)
    texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert all(len(text) == 3 and set(text) <= {"a", "b"} for text in texts)


def test_the_generation_config_is_honoured_inside_generate(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt")
    options = {**GREEDY, "repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "min_new_tokens": 6}
    assert torch.equal(
        model.generate(**inputs, custom_generate=host.custom_generate(), **options), model.generate(**inputs, **options)
    )


def test_output_objects_and_stop_strings_inside_generate(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt")
    stop = "e"
    expected = host.generate(PROMPT, max_new_tokens=8, stop=[stop]).token_ids
    decode = host.custom_generate(stop=[stop])
    output = model.generate(**inputs, custom_generate=decode, return_dict_in_generate=True, **GREEDY)
    assert output.sequences[0, inputs["input_ids"].shape[1] :].tolist() == expected


def test_a_custom_generate_belongs_to_its_model_and_refuses_beams(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt")
    with pytest.raises(IncompatibleParts, match="num_beams=2"):
        model.generate(**inputs, custom_generate=host.custom_generate(), num_beams=2, **GREEDY)
    with pytest.raises(BadOption, match="max_new_tokens"):
        host.custom_generate(max_tokens=3)


def test_a_custom_generate_works_in_a_real_pipeline(host: Host, model: Any, tokenizer: Any) -> None:
    pipe = pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")
    decode = host.custom_generate(constraint=regex("[ab]{3}"))
    text = pipe(PROMPT, custom_generate=decode, return_full_text=False, **GREEDY)[0]["generated_text"]
    assert len(text) == 3


def test_streamers_of_transformers_get_the_text(host: Host, tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    expected = host.generate(PROMPT, max_new_tokens=12)
    host.generate(PROMPT, max_new_tokens=12, streamer=TextStreamer(tokenizer, skip_prompt=True))
    assert capsys.readouterr().out.rstrip("\n") == expected.text.rstrip("\n")
    iterator = TextIteratorStreamer(tokenizer, skip_prompt=True)
    host.generate(PROMPT, max_new_tokens=12, streamer=iterator)
    assert "".join(iterator) == expected.text
