"""The requests that batches are measured by are what they claim to be."""

from __future__ import annotations

from batching_cases import BATCH_CASES, NEW_TOKENS, PROMPT_TOKENS, WORDS, prompt_ids


def test_there_are_sixty_four_of_mixed_lengths() -> None:
    assert len(BATCH_CASES) == len(set(BATCH_CASES)) == 64
    for lengths, (least, most) in (
        ([case.prompt_tokens for case in BATCH_CASES], PROMPT_TOKENS),
        ([case.new_tokens for case in BATCH_CASES], NEW_TOKENS),
    ):
        assert least <= min(lengths) < least + (most - least) / 4
        assert most >= max(lengths) > most - (most - least) / 4


def test_a_prompt_has_as_many_ids_as_it_says() -> None:
    numbers = {word: place for place, word in enumerate(WORDS)}
    prompts = [prompt_ids(case, lambda text: [numbers[word] for word in text.split(" ")]) for case in BATCH_CASES]
    assert [len(prompt) for prompt in prompts] == [case.prompt_tokens for case in BATCH_CASES]
    assert len({tuple(prompt[:10]) for prompt in prompts}) > 48
