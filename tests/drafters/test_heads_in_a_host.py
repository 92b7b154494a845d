"""Hidden states reach the drafters, and prediction heads draft in the loop: faster, and the same text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from heads.guessing import random_heads
from torch import Tensor

from decodeplug import BadOption, Host, IncompatibleParts, Request, json_schema, regex
from decodeplug.drafters import HeadDrafts
from decodeplug.testing import bpe_tokenizer, check_drafter_changes_nothing, tiny_model
from decodeplug.values import Draft, LaneView

PROMPTS = ["The red bear reads ", "a", "Once there was a small bear. Where is the river? "]
SAMPLING = {"processors": ["temperature=1.2", "top-p=0.95"], "do_sample": True}


@dataclass
class Watching:
    """Drafts what it was told, then something wrong, and remembers which hidden states it was shown."""

    texts: Sequence[Sequence[int]] = ()
    seen: list[tuple[Sequence[int], Tensor]] = field(default_factory=list)
    name: ClassVar[str] = "watching"
    prior: ClassVar[float] = 0.9
    insists: ClassVar[bool] = True
    needs_hidden: ClassVar[bool] = True

    def draft(self, lane: LaneView, room: int) -> Draft:
        if lane.hidden is None:
            return Draft()
        self.seen.append((lane.ids, lane.hidden))
        known = [text[len(lane.ids) :] for text in self.texts if tuple(text[: len(lane.ids)]) == tuple(lane.ids)]
        right = list(known[0][: len(lane.ids) % 4]) if known else []
        tokens = tuple([*right, 0][:room])
        return Draft(tokens, (self.name,) * len(tokens))


class Indifferent(Watching):
    """Does not ask for them."""

    needs_hidden: ClassVar[bool] = False


@pytest.mark.parametrize("cache_name", ["dense", "none"])
@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2", "deepseek", "qwen3-next"])
def test_lanes_show_the_hidden_states_of_what_was_fed_and_kept(kind: str, cache_name: str) -> None:
    model = tiny_model(kind, vocab=40)
    host, prompts = Host(model, None, plugins=[]), ([1, 2, 3, 4, 5], [7], [9, 8, 7, 9, 8, 7, 9, 8])
    options: dict[str, Any] = {"cache": cache_name, "max_new_tokens": 12, "end_ids": []}
    plain = host.generate_batch([Request(prompt, **options) for prompt in prompts])
    watching = Watching([[*prompt, *result.token_ids] for prompt, result in zip(prompts, plain, strict=True)])
    results = host.generate_batch([Request(prompt, drafters=[watching], **options) for prompt in prompts])
    assert [result.token_ids for result in results] == [result.token_ids for result in plain]
    assert sum(step.kept for result in results for step in result.trace.steps) > 0
    assert sum(step.rejected for result in results for step in result.trace.steps) > 0
    assert len(watching.seen) >= 9
    for ids, hidden in watching.seen:
        with torch.no_grad():
            whole = model.get_decoder()(torch.tensor([ids], device=model.device)).last_hidden_state[0]
        torch.testing.assert_close(hidden, whole[len(ids) - 1 - len(hidden) : -1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("hypotheses", [1, 3])
def test_a_prompt_that_is_fed_in_pieces_shows_the_hidden_states_of_all_of_them(hypotheses: int) -> None:
    model, prompt = tiny_model(vocab=40), [3 + place % 30 for place in range(23)]
    host = Host(model, None, plugins=[], max_batch_tokens=6)
    assert host.target.feeds_in_pieces()
    options: dict[str, Any] = {"max_new_tokens": 4, "end_ids": [], "seed": 1}
    if hypotheses > 1:
        options |= {"strategy": "sample", "num_return_sequences": hypotheses}
    plain = host.generate_batch([Request(prompt, **options)])[0]
    watching = Watching()
    result = host.generate_batch([Request(prompt, drafters=[watching], **options)])[0]
    assert [one.token_ids for one in (result, *result.alternatives)] == [
        one.token_ids for one in (plain, *plain.alternatives)
    ]
    assert max(step.width for step in result.trace.steps) >= 23
    assert sum(len(ids) == 24 and len(hidden) == 23 for ids, hidden in watching.seen) == hypotheses
    for ids, hidden in watching.seen:
        with torch.no_grad():
            whole = model.get_decoder()(torch.tensor([ids], device=model.device)).last_hidden_state[0]
        torch.testing.assert_close(hidden, whole[len(ids) - 1 - len(hidden) : -1], atol=1e-5, rtol=1e-4)


def test_nothing_is_left_on_the_model_and_nobody_pays_who_did_not_ask() -> None:
    model = tiny_model(vocab=40)
    host = Host(model, None, plugins=[])
    host.generate([1, 2, 3], drafters=[Watching()], max_new_tokens=6)
    assert not model.get_decoder()._forward_hooks
    plain = Indifferent()
    host.generate([1, 2, 3], drafters=[plain], max_new_tokens=6)
    assert plain.seen == []


@cache
def model() -> Any:
    return tiny_model(vocab=len(bpe_tokenizer()))


@cache
def host() -> Host:
    return Host(model(), bpe_tokenizer(), plugins=[])


def guessing(kind: str) -> HeadDrafts:
    """Heads that nobody trained, over every second id."""
    ids = torch.arange(0, model().config.vocab_size, 2)
    return HeadDrafts(heads=random_heads(model(), kind, ids=ids), num_tokens=3)


@pytest.mark.parametrize("kind", ["independent", "recurrent"])
@pytest.mark.parametrize("constraint", [None, json_schema({"type": "array", "items": {"type": "integer"}})])
def test_the_text_is_that_of_no_draft(kind: str, constraint: Any) -> None:
    check_drafter_changes_nothing(host(), guessing(kind), PROMPTS, seeds=[0, 1], constraint=constraint)


@pytest.mark.parametrize("kind", ["independent", "recurrent"])
def test_heads_that_know_no_token_that_is_allowed_draw_nothing(kind: str) -> None:
    odd = regex("[13579]{12}")  # digits whose ids are odd, and these heads have the even ones
    for seed in range(6):
        options: dict[str, Any] = {"constraint": odd, "acceptance": "rejection", "seed": seed, "max_new_tokens": 14}
        result = host().generate("The ", drafters=[guessing(kind)], **SAMPLING, **options)
        assert len(result.text) == 12
        assert set(result.text) <= set("13579")


@pytest.mark.parametrize("acceptance", ["match", "rejection"])
@pytest.mark.parametrize("kind", ["independent", "recurrent"])
def test_ragged_lanes_get_what_each_gets_alone(kind: str, acceptance: str) -> None:
    drafters = [guessing(kind)]
    constraints = [None, regex("[a-z ]{5,30}"), None]
    requests = [
        Request(
            prompt, drafters=drafters, constraint=constraint, seed=row, max_new_tokens=20 + row, acceptance=acceptance,
            **SAMPLING,
        )
        for row, (prompt, constraint) in enumerate(zip(PROMPTS, constraints, strict=True))
    ]  # fmt: skip
    results = host().generate_batch(requests)
    assert all(any(step.drafted for step in result.trace.steps) for result in results)
    together = [result.text for result in results]
    if acceptance == "match":
        assert together == [host().generate_batch([request])[0].text for request in requests]
    assert all(together)


def test_the_strategy_needs_heads_and_says_how_they_are_had(tmp_path: Any) -> None:
    with pytest.raises(BadOption, match="decodeplug train-heads"):
        host().generate("a", strategy="mtp", max_new_tokens=3)
    heads = guessing("recurrent").heads
    assert heads is not None
    heads.save(tmp_path, {})
    result = host().generate("a", strategy={"name": "mtp", "heads": str(tmp_path)}, max_new_tokens=9)
    assert result.trace.drafters == ("heads",)
    assert result.trace.strategy == "mtp"
    assert result.token_ids == host().generate("a", max_new_tokens=9).token_ids
    named = host().generate("a", strategy="mtp", drafters=[f"heads={tmp_path}"], max_new_tokens=9)
    assert named.trace.drafters == ("heads",)


def test_heads_of_another_model_are_refused_before_the_first_token(tmp_path: Any) -> None:
    heads = guessing("independent").heads
    assert heads is not None
    heads.save(tmp_path, {})
    other = Host(tiny_model(vocab=len(bpe_tokenizer()), seed=5), bpe_tokenizer(), plugins=[])
    with pytest.raises(IncompatibleParts, match="the heads in"):
        other.generate("a", drafters=[f"heads={tmp_path}"], max_new_tokens=3)
