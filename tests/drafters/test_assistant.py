"""An assistant model drafts: the text is the same, the forwards are fewer, and every lane accepts its own number."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import pytest
import torch

from decodeplug import BadOption, Host, Request, VocabularyMismatch, json_schema, lark, regex
from decodeplug.drafters import Assistant
from decodeplug.guide import Guide
from decodeplug.target import Target
from decodeplug.testing import bpe_tokenizer, byte_tokenizer, check_drafter_changes_nothing, like, tiny_model
from decodeplug.values import LaneView
from decodeplug.widths import WidthCosts

PROMPTS = ["The red bear reads ", "a", '{"name": ', "Once there was a small bear. Where is the river? "]
FIXED = ["assistant=num_tokens=4"]
SAMPLING = {"processors": ["temperature=1.2", "top-p=0.95"], "do_sample": True}


@cache
def model() -> Any:
    return tiny_model(vocab=len(bpe_tokenizer()))


@cache
def host() -> Host:
    return Host(model(), bpe_tokenizer(), plugins=[])


@cache
def good() -> Any:
    return like(model(), strength=0.3)


@cache
def stranger() -> Host:
    """Another model with another tokenizer."""
    tokenizer = byte_tokenizer()
    return Host(tiny_model(vocab=len(tokenizer), layers=1, seed=4), tokenizer, plugins=[])


@pytest.mark.parametrize("assistant", ["itself", "good", "another tokenizer"])
@pytest.mark.parametrize(
    "constraint", [None, json_schema({"type": "array", "items": {"type": "integer"}}), lark("csv")]
)
def test_the_text_is_that_of_no_draft(assistant: str, constraint: Any) -> None:
    drafting = {"itself": model, "good": good, "another tokenizer": stranger}[assistant]()
    check_drafter_changes_nothing(
        host(), "assistant=num_tokens=4", PROMPTS[:2], seeds=[0, 1], assistant=drafting, constraint=constraint
    )


@pytest.mark.parametrize("selection", [{"strategy": "greedy"}, {"strategy": "speculative", **SAMPLING}])
def test_the_model_as_its_own_assistant_is_always_right(selection: dict[str, Any]) -> None:
    result = host().generate("The red bear ", assistant=model(), drafters=FIXED, seed=1, max_new_tokens=40, **selection)
    accepted = result.trace.acceptance["assistant"]
    assert accepted.kept == accepted.drafted > 0
    assert result.trace.forwards <= len(result.token_ids) / 5 + 1


def test_sharing_the_noise_makes_acceptance_at_a_high_temperature_what_the_distributions_allow() -> None:
    """At least (1 - d) / (1 + d) of the tokens agree, of laws at a distance d (arXiv:2408.07978, theorem 1)."""
    ids, drawn = bpe_tokenizer()("The red bear ")["input_ids"], 400
    with torch.no_grad():
        inputs = torch.tensor([ids], device=model().device)
        p, q = ((one(inputs).logits[0, -1] / 4).softmax(-1) for one in (model(), good()))
    distance = float((p - q).abs().sum() / 2)
    least, apart = (1 - distance) / (1 + distance), float((p * q).sum())
    results = host().generate_batch([
        Request(
            ids, assistant=good(), drafters=["assistant=num_tokens=1"], seed=seed, max_new_tokens=2, do_sample=True,
            processors=["temperature=4.0"],
        )
        for seed in range(drawn)
    ])  # fmt: skip
    steps = [result.trace.steps[0] for result in results]
    assert all(step.sources[:1] == ("assistant",) for step in steps)
    share = sum(step.kept > 0 for step in steps) / drawn
    assert share > least - 3 * (least * (1 - least) / drawn) ** 0.5
    assert apart < least / 2, "with noise of its own it would agree that often"


@pytest.mark.parametrize("acceptance", ["match", "rejection"])
def test_ragged_lanes_that_speculate_at_once_get_what_each_gets_alone(acceptance: str) -> None:
    constraints = [None, regex("[a-z ]{5,30}"), None, json_schema({"type": "object"})]
    requests = [
        Request(
            prompt, assistant=good(), drafters=FIXED, seed=row, constraint=constraint, max_new_tokens=30 + row,
            acceptance=acceptance, **SAMPLING,
        )
        for row, (prompt, constraint) in enumerate(zip(PROMPTS, constraints, strict=True))
    ]  # fmt: skip
    together = host().generate_batch(requests)
    assert [result.token_ids for result in together] == [
        host().generate_batch([request])[0].token_ids for request in requests
    ]
    assert len({tuple(step.kept for step in result.trace.steps) for result in together}) > 1


def test_a_batch_drafts_with_one_forward_of_the_assistant_for_all_lanes() -> None:
    """Also where drafts end at different places, a step serves every lane that goes on."""
    drafting, calls = like(model(), strength=0.3, seed=5), []
    handle = drafting.register_forward_pre_hook(lambda *_: calls.append(1))
    requests = [Request(prompt, assistant=drafting, drafters=FIXED, max_new_tokens=20) for prompt in PROMPTS]
    results = host().generate_batch(requests)
    handle.remove()
    turns = max(result.trace.forwards for result in results)
    assert len(calls) <= 4 * turns


def drafted_lengths(monkeypatch: pytest.MonkeyPatch, assistant: Any, price: float) -> list[int]:
    """By an assistant that chooses its lengths itself, turn by turn, at costs that are no matter of the clock."""
    monkeypatch.setattr(Assistant, "price", lambda self, lane: price)
    monkeypatch.setattr(WidthCosts, "relative", lambda self, width, lanes=1: 1 + 0.05 * (width - 1))
    result = host().generate(
        "The red bear ", drafters=["assistant"], assistant=assistant, max_new_tokens=120, end_ids=[]
    )
    return [len(step.drafted) for step in result.trace.steps]


def test_without_a_number_the_length_follows_acceptance(monkeypatch: pytest.MonkeyPatch) -> None:
    useless = drafted_lengths(monkeypatch, tiny_model(vocab=len(bpe_tokenizer()), seed=9), 0.02)
    right = drafted_lengths(monkeypatch, model(), 0.02)
    assert max(useless[:3]) > 0, "it was tried"
    assert len(useless) > 100
    assert sum(useless[-40:]) < 40 / 4
    assert max(right) > max(right[:2]) > 0, "what is always right drafts longer and longer"
    assert len(right) < 40


def test_without_a_number_the_length_follows_the_price(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap, dear, dearest = (drafted_lengths(monkeypatch, model(), price) for price in (0.02, 0.3, 0.8))
    assert max(cheap) > max(dear) > 0
    assert not any(dearest), "with seven of ten tokens right it would lose: see prior"


def test_a_trace_says_of_an_assistant_that_it_was_never_asked() -> None:
    as_large = like(model(), strength=0.1, seed=7)  # of which nothing was measured

    def notes(count: int, **options: Any) -> list[str]:
        result = host().generate("The red bear ", assistant=as_large, max_new_tokens=count, end_ids=[], **options)
        return [note for note in result.trace.notes if "was never asked" in note]

    assert [note.partition(" was")[0] for note in notes(9)] == ["drafter 'assistant'"]
    assert notes(2) == notes(9, drafters=FIXED) == []


def test_a_draft_in_the_words_of_another_tokenizer_is_as_long_as_it_shall_be_and_costs_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an assistant that writes byte by byte, a token of the model is several."""
    target = Target(model())
    guide = Guide(stranger(), target, bpe_tokenizer())
    monkeypatch.setattr(guide, "back", lambda ids, drafted: time.sleep(0.2) or list(range(len(drafted) // 2)))
    drafter = Assistant(guide, num_tokens=3)
    ids = bpe_tokenizer()("The quick brown bear reads a book about the moon")["input_ids"]
    lane = LaneView(ids, len(ids), forward_s=0.1)
    bytes_of = len(guide.translated(ids)) / len(ids)
    drafts = [drafter.draft(lane, 8) for _ in range(3)]
    assert bytes_of > 2
    assert all(2 <= len(draft) <= 3 for draft in drafts)
    assert drafter.price(lane) > 0.2 / 3 / 0.1


def test_the_default_drafters_come_before_the_assistant() -> None:
    result = host().generate("a", constraint=regex("ab{40}"), assistant=model(), max_new_tokens=50)
    assert result.trace.drafters == ("forced", "lookup", "assistant")
    assert result.trace.strategy == "speculative"


def test_an_assistant_is_named_by_a_keyword_and_by_nothing_else() -> None:
    with pytest.raises(BadOption, match="assistant=: a model, or a Host"):
        host().generate("a", strategy="speculative")
    with pytest.raises(BadOption, match="at least 1"):
        host().generate("a", assistant=model(), drafters=["assistant=num_tokens=0"])


def test_another_vocabulary_without_a_tokenizer_is_refused_with_the_way_out() -> None:
    with pytest.raises(VocabularyMismatch, match=r"Pass assistant=Host\(assistant, its_tokenizer\)"):
        host().generate("a", assistant=tiny_model(vocab=99), max_new_tokens=3)


def test_padded_logits_of_an_assistant_with_the_same_tokenizer_are_cut_to_fit() -> None:
    tokenizer = bpe_tokenizer()
    wide = tiny_model(vocab=len(tokenizer), padded_to=len(tokenizer) + 5)
    check_drafter_changes_nothing(host(), FIXED[0], PROMPTS[:1], seeds=[0], assistant=Host(wide, tokenizer, plugins=[]))
    narrow = Host(wide, tokenizer, plugins=[])
    check_drafter_changes_nothing(narrow, FIXED[0], PROMPTS[:1], seeds=[0], assistant=host())


@pytest.mark.parametrize("kind", ["mistral", "gpt2", "qwen3-next", "mamba"])
def test_assistants_of_every_kind_draft_right_also_where_their_state_cannot_be_rewound(kind: str) -> None:
    assistant = tiny_model(kind, vocab=len(bpe_tokenizer()))
    check_drafter_changes_nothing(host(), FIXED[0], PROMPTS[:1], seeds=[0], max_new_tokens=12, assistant=assistant)


def test_the_cache_of_the_assistant_is_let_go_when_the_run_is_over() -> None:
    drafting = Host(like(model(), strength=0.1), bpe_tokenizer(), plugins=[])
    host().generate("The red bear ", assistant=drafting, drafters=FIXED, max_new_tokens=9)
    (drafter,) = [drafter for owner, drafter in host()._fit.guessing.assistants._known.values() if owner is drafting]
    assert drafter._prefixes is None  # pyright: ignore[reportAttributeAccessIssue]


def test_an_assistant_that_fails_is_named_and_the_others_go_on() -> None:
    broken = like(model(), strength=0.1, seed=3)

    def fail(*_: Any) -> None:
        raise RuntimeError("out of order")

    broken.register_forward_pre_hook(fail)
    requests = [Request("a", assistant=broken, drafters=FIXED, max_new_tokens=5), Request("a", max_new_tokens=5)]
    first, second = host().generate_batch(requests, return_errors=True)
    assert "out of order" in str(first.error)
    assert "assistant" in str(first.error)
    assert len(second.token_ids) == 5


def test_a_failing_part_of_one_request_leaves_the_others_that_draft_with_the_same_assistant_alone() -> None:
    class Broken:
        name, stage, keeps_argmax = "boom", 30, False

        def __call__(self, scores: Any, seen: Any) -> Any:
            raise RuntimeError("boom")

    options: dict[str, Any] = {"assistant": good(), "drafters": FIXED, "max_new_tokens": 9}
    requests = [Request("a", processors=[Broken()], **options), Request("The red bear ", **options)]
    first, second = host().generate_batch(requests, return_errors=True)
    assert "boom" in str(first.error)
    assert "failed in scoring" in str(first.error)
    assert second.error is None
    assert second.token_ids == host().generate("The red bear ", max_new_tokens=9).token_ids


def test_behind_another_drafter_an_assistant_draws_with_the_noise_of_the_right_positions() -> None:
    """The model as its own assistant is always right, also where a draft goes on behind what the constraint forced."""
    constraint = regex("the red bear [a-z]{3,9} and the blue bear [a-z]{3,9}")
    for seed in range(6):
        result = host().generate(
            "a", assistant=model(), drafters=["forced", *FIXED], constraint=constraint, max_new_tokens=60, seed=seed,
            do_sample=True,
        )  # fmt: skip
        accepted = result.trace.acceptance
        assert accepted["assistant"].drafted > 0
        wrong = sum(step.rejected > 0 and step.sources[step.kept] == "assistant" for step in result.trace.steps)
        assert wrong == 0


def test_the_cache_of_an_assistant_is_kept_while_other_requests_use_it() -> None:
    drafting, fed = like(model(), strength=0.3, seed=6), []
    handle = drafting.get_input_embeddings().register_forward_pre_hook(lambda _, args: fed.append(args[0].numel()))
    requests = [Request([5] * 60, assistant=drafting, drafters=FIXED, max_new_tokens=5 * row) for row in range(1, 5)]
    host().generate_batch(requests)
    handle.remove()
    assert max(fed[4:]) < 60  # after its first turn, nobody's prompt is fed again
