"""From a prompt to ids: raw text, chat messages, or ids as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from decodeplug.errors import BadOption

__all__ = ["beginning", "prompt_ids"]

_FORMS = "a text, a list of chat messages, or token ids"


def prompt_ids(prompt: Any, tokenizer: Any, vocab_size: int, chat_template_kwargs: Mapping[str, Any]) -> list[int]:
    """The ids that the model is given.

    :param prompt: Text is tokenised with the tokenizer's own special tokens; chat messages go
        through its chat template with the generation prompt; ids are taken as they are.
    :raises BadOption: It is empty, is of no such form, needs a tokenizer that the host does
        not have, is refused by the tokenizer or its chat template, or has ids that the model does not know.
    """
    if hasattr(prompt, "tolist"):  # a tensor or an array
        prompt = prompt.tolist()
        if len(prompt) == 1 and isinstance(prompt[0], list):
            prompt = prompt[0]
    if isinstance(prompt, str):
        return _from_text(prompt, tokenizer)
    if not isinstance(prompt, Sequence):
        raise BadOption("prompt", prompt=prompt, wanted=_FORMS)
    if not prompt:
        raise BadOption("prompt", prompt=prompt, wanted=f"{_FORMS}, not an empty one")
    if all(isinstance(item, Mapping) for item in prompt):
        return _from_messages(prompt, tokenizer, chat_template_kwargs)
    if all(isinstance(item, str) for item in prompt):
        raise BadOption("prompt", prompt=prompt, wanted=f"{_FORMS}; for several texts use generate_batch([...])")
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in prompt):
        raise BadOption("prompt", prompt=prompt, wanted=_FORMS)
    wrong = [token for token in prompt if not 0 <= token < vocab_size]
    if wrong:
        raise BadOption("prompt", ids=wrong[:5], wanted=f"ids from 0 to {vocab_size - 1}, which the model knows")
    return list(prompt)


def beginning(prompt: Any, ids: Sequence[int], tokenizer: Any, chat_template_kwargs: Mapping[str, Any]) -> int:
    """How many ids of a prompt are its system prompt, or the token that every text begins with; 0 where there is none.

    :param ids: What :func:`prompt_ids` made of it.
    """
    messages = prompt if isinstance(prompt, Sequence) and not isinstance(prompt, str) else ()
    system = list(takewhile(lambda message: isinstance(message, Mapping) and message.get("role") == "system", messages))
    if not system:
        return int(bool(ids) and ids[0] == getattr(tokenizer, "bos_token_id", None))
    try:
        alone = _from_messages(system, tokenizer, {**chat_template_kwargs, "add_generation_prompt": False})
    except BadOption:  # a template that wants a question, too
        return 0
    same = takewhile(lambda pair: pair[0] == pair[1], zip(alone, ids, strict=False))
    return sum(1 for _ in same)


def _from_text(text: str, tokenizer: Any) -> list[int]:
    if tokenizer is None:
        raise BadOption(
            "prompt", prompt=text, wanted="token ids, since this host has no tokenizer: Host(model, tokenizer)"
        )
    try:
        ids = list(tokenizer(text)["input_ids"])
    except Exception as error:
        raise _refused("a text that the tokenizer takes", error) from error
    if not ids:
        raise BadOption("prompt", prompt=text, wanted="a text of at least one token")
    return ids


def _from_messages(messages: Sequence[Mapping[str, Any]], tokenizer: Any, options: Mapping[str, Any]) -> list[int]:
    if tokenizer is None:
        raise BadOption("prompt", wanted="token ids, since this host has no tokenizer: Host(model, tokenizer)")
    if getattr(tokenizer, "chat_template", None) is None:
        raise BadOption("prompt", wanted="a text: this tokenizer has no chat template for messages")
    for message in messages:
        if "role" not in message or ("content" not in message and "tool_calls" not in message):
            raise BadOption("prompt", message=dict(message), wanted="chat messages with 'role' and 'content'")
    arguments = {"add_generation_prompt": True, "tokenize": True, "return_dict": False, **options}
    try:
        ids = list(tokenizer.apply_chat_template(list(messages), **arguments))
    except Exception as error:
        raise _refused("messages that the chat template takes", error) from error
    if not ids or not all(isinstance(token, int) for token in ids):
        raise BadOption("prompt", chat_template_kwargs=dict(options), wanted="a chat template that gives token ids")
    return ids


def _refused(wanted: str, error: Exception) -> BadOption:
    return BadOption("prompt", wanted=f"{wanted}: {type(error).__name__}: {error}")
