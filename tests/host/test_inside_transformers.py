"""The host inside transformers: pipelines, custom_generate, streamers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import TextGenerationPipeline, TextIteratorStreamer, TextStreamer, WatermarkingConfig, pipeline

from decodeplug import Host, regex
from decodeplug.bridges.streamers import feed
from decodeplug.errors import BadOption, IncompatibleParts, UnknownPart, UnsupportedModel
from decodeplug.testing import tiny_model

PROMPT = "The bear "
CHAT = [{"role": "user", "content": "hello"}]
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 8}


@pytest.fixture(scope="module")
def stock(model: Any, tokenizer: Any) -> TextGenerationPipeline:
    return TextGenerationPipeline(model=model, tokenizer=tokenizer, task="text-generation", device=model.device)


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
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    plain = model.generate(**inputs, **GREEDY)
    assert torch.equal(model.generate(**inputs, custom_generate=host.custom_generate(), **GREEDY), plain)


def test_generate_with_padding_and_a_constraint(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer([PROMPT, "a longer text than that "], return_tensors="pt", padding=True).to(model.device)
    ids = model.generate(**inputs, custom_generate=host.custom_generate(constraint=regex("[ab]{3}")), **GREEDY)
    texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert all(len(text) == 3 and set(text) <= {"a", "b"} for text in texts)


def test_the_generation_config_is_honoured_inside_generate(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    options = {**GREEDY, "repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "min_new_tokens": 6}
    assert torch.equal(
        model.generate(**inputs, custom_generate=host.custom_generate(), **options), model.generate(**inputs, **options)
    )


def test_output_objects_and_stop_strings_inside_generate(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    stop = "e"
    expected = host.generate(PROMPT, max_new_tokens=8, stop=[stop]).token_ids
    decode = host.custom_generate(stop=[stop])
    output = model.generate(**inputs, custom_generate=decode, return_dict_in_generate=True, **GREEDY)
    assert output.sequences[0, inputs["input_ids"].shape[1] :].tolist() == expected


def test_a_custom_generate_names_the_options_it_does_not_know(host: Host) -> None:
    with pytest.raises(BadOption, match="max_new_tokens"):
        host.custom_generate(max_tokens=3)


SETTINGS: list[dict[str, Any]] = [
    {"assistant_early_exit": 1},
    {"return_dict_in_generate": True, "output_scores": True},
    {"return_dict_in_generate": True, "output_logits": True},
    {"return_dict_in_generate": True, "output_attentions": True},
    {"return_dict_in_generate": True, "output_hidden_states": True},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: [*setting][-1])
@pytest.mark.parametrize("options", [{}, {"strategy": "greedy"}], ids=["plain", "strategy"])
def test_a_setting_that_would_be_ignored_is_refused(
    host: Host, model: Any, tokenizer: Any, setting: dict[str, Any], options: dict[str, Any]
) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    with pytest.raises(IncompatibleParts, match=[*setting][-1]):
        model.generate(**inputs, custom_generate=host.custom_generate(**options), **{**GREEDY, **setting})


def test_the_end_and_pad_ids_of_a_call_are_honoured(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer([PROMPT, PROMPT + "a"], return_tensors="pt", padding=True).to(model.device)
    width = inputs["input_ids"].shape[1]
    new = model.generate(**inputs, do_sample=False, max_new_tokens=8)[:, width:]
    end = next(token for token in new[0, 2:].tolist() if token not in new[0, :2])
    for options in ({"eos_token_id": end}, {"eos_token_id": [end, 5], "pad_token_id": 7}, {"eos_token_id": -1}):
        expected = model.generate(**inputs, **{**GREEDY, **options})
        assert torch.equal(
            model.generate(**inputs, custom_generate=host.custom_generate(), **{**GREEDY, **options}), expected
        )


@pytest.mark.parametrize("end", [-1, 97, [97, 514]], ids=str)
def test_a_constrained_text_ends_whatever_ends_the_others(host: Host, model: Any, tokenizer: Any, end: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    decode = host.custom_generate(constraint=regex("b{3}"))
    ids = model.generate(**inputs, custom_generate=decode, eos_token_id=end, **GREEDY)
    assert tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True) == "bbb"


def test_a_seed_gives_every_row_its_own_noise(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    options = {"do_sample": True, "max_new_tokens": 8, "num_return_sequences": 3, "top_k": 0}
    ids = model.generate(**inputs, custom_generate=host.custom_generate(seed=4), **options)
    assert torch.equal(ids, model.generate(**inputs, custom_generate=host.custom_generate(seed=4), **options))
    rows = [row[inputs["input_ids"].shape[1] :].tolist() for row in ids]
    pad = tokenizer.pad_token_id
    for number, row in enumerate(rows):
        alone = host.generate(PROMPT, do_sample=True, seed=4 + number, max_new_tokens=8).token_ids
        assert [token for token in row if token != pad] == alone
    assert len({tuple(row) for row in rows}) == 3
    assert len({row["generated_text"] for row in host.pipeline(seed=4)(PROMPT, **options)}) == 3


def test_several_sequences_belong_to_generate(host: Host) -> None:
    with pytest.raises(BadOption, match=r"num_return_sequences=2.*generate\(\)"):
        host.custom_generate(num_return_sequences=2, strategy="sample")
    pipe = host.pipeline(num_return_sequences=2, do_sample=True, max_new_tokens=4)
    assert len(pipe(PROMPT)) == 2
    assert len(pipe(PROMPT, num_return_sequences=3)) == 3


def test_the_strategy_of_a_custom_generate_wins_over_the_config(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    greedy = model.generate(**inputs, **GREEDY)
    sampling = {"do_sample": True, "temperature": 0.7, "top_k": 5, "max_new_tokens": 8}
    decode = host.custom_generate(strategy="greedy")
    assert torch.equal(model.generate(**inputs, custom_generate=decode, **sampling), greedy)
    decode = host.custom_generate(strategy="sample", seed=3)
    drawn = model.generate(**inputs, custom_generate=decode, **GREEDY)[0, inputs["input_ids"].shape[1] :].tolist()
    assert drawn == host.generate(PROMPT, strategy="sample", seed=3, max_new_tokens=8).token_ids
    decode = host.custom_generate(strategy="sample")
    torch.manual_seed(5)
    first = model.generate(**inputs, custom_generate=decode, **GREEDY)
    torch.manual_seed(5)
    assert torch.equal(model.generate(**inputs, custom_generate=decode, **GREEDY), first)
    with pytest.raises(UnknownPart, match="greedi"):
        host.custom_generate(strategy="greedi")


def test_a_greedy_strategy_keeps_the_watermark_of_a_sampling_config(host: Host, model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    watermark = {"watermarking_config": WatermarkingConfig(bias=6.0), "max_new_tokens": 8}
    expected = model.generate(**inputs, do_sample=False, **watermark)
    decode = host.custom_generate(strategy="greedy")
    assert torch.equal(model.generate(**inputs, custom_generate=decode, do_sample=True, **watermark), expected)


def test_a_host_that_takes_the_config_adds_nothing_to_what_generate_prepared(tokenizer: Any) -> None:
    model: Any = tiny_model(vocab=len(tokenizer))
    model.generation_config.update(repetition_penalty=9.0)
    host = Host(model, tokenizer, plugins=[], use_generation_config=True)
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    options = {**GREEDY, "max_new_tokens": 20, "repetition_penalty": 1.0}
    decode = host.custom_generate()
    assert torch.equal(model.generate(**inputs, custom_generate=decode, **options), model.generate(**inputs, **options))


def test_a_pipeline_leaves_a_model_where_accelerate_put_it(tokenizer: Any) -> None:
    model: Any = tiny_model(vocab=len(tokenizer))
    model.hf_device_map = {"": str(model.device)}
    pipe = Host(model, tokenizer, plugins=[]).pipeline()
    assert pipe.device == model.device


def test_a_pipeline_needs_a_tokenizer(model: Any) -> None:
    with pytest.raises(BadOption, match=r"Host\(model, tokenizer\)"):
        Host(model, None, plugins=[]).pipeline()


def test_what_a_call_of_a_pipeline_gives_wins_over_what_it_was_made_with(host: Host, tokenizer: Any) -> None:
    pipe = host.pipeline(max_new_tokens=6, do_sample=False)
    rows = [pipe(PROMPT, return_tensors=True, **call)[0]["generated_token_ids"] for call in ({}, {"max_new_tokens": 2})]
    assert len(rows[0]) - len(rows[1]) == 4
    with pytest.raises(BadOption, match="constraints"):
        host.pipeline(constraints="x")


def test_a_custom_generate_works_in_a_real_pipeline(host: Host, model: Any, tokenizer: Any) -> None:
    pipe = pipeline("text-generation", model=model, tokenizer=tokenizer, device=model.device)
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


def test_a_pipeline_takes_a_streamer(host: Host, tokenizer: Any) -> None:
    iterator = TextIteratorStreamer(tokenizer, skip_prompt=True)
    text = host.pipeline()(PROMPT, streamer=iterator, return_full_text=False, **GREEDY)[0]["generated_text"]
    assert "".join(iterator) == text


class Failing:
    """A streamer that fails at its third ``put``."""

    def __init__(self) -> None:
        self.puts, self.ended = 0, False

    def put(self, ids: torch.Tensor) -> None:
        self.puts += 1
        if self.puts == 3:
            raise OSError("the pipe is closed")

    def end(self) -> None:
        self.ended = True


def test_a_streamer_that_fails_closes_its_stream(host: Host) -> None:
    streamer, stream = Failing(), host.stream(PROMPT, max_new_tokens=12)
    with pytest.raises(OSError, match="pipe is closed"):
        feed(streamer, stream)
    assert streamer.ended
    assert list(stream) == []
    assert host.generate(PROMPT, max_new_tokens=3).token_ids


@pytest.mark.parametrize("name", ["chat_template", "tokenizer"])
def test_a_prompt_that_the_tokenizer_refuses_is_a_bad_option(model: Any, tokenizer: Any, name: str) -> None:
    own = copy.deepcopy(tokenizer)
    if name == "chat_template":
        own.chat_template = "{{ raise_exception('roles must alternate') }}"
        with pytest.raises(BadOption, match="TemplateError: roles must alternate"):
            Host(model, own, plugins=[]).generate(CHAT, max_new_tokens=2)
    else:
        with pytest.raises(BadOption, match="a text that the tokenizer takes: TypeError"):
            Host(model, own, plugins=[]).generate("\ud800", max_new_tokens=2)


def test_a_chat_template_has_to_give_ids(host: Host) -> None:
    with pytest.raises(BadOption, match="gives token ids"):
        host.generate(CHAT, chat_template_kwargs={"tokenize": False}, max_new_tokens=2)
