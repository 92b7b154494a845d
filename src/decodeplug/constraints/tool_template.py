"""In which form a model writes calls: its chat template is asked to write one."""

from __future__ import annotations

import json
from typing import Any

from decodeplug.constraints.tool_forms import FORMS, HERMES, ToolForm
from decodeplug.errors import BadOption

__all__ = ["form_of"]

_NAME, _ARGUMENTS = "sample_function", {"sample": "a value like no other"}
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "A sample.",
        "parameters": {
            "type": "object",
            "properties": {"sample": {"type": "string", "description": "Anything."}},
            "required": ["sample"],
        },
    },
}
_QUESTION = {"role": "user", "content": "Call it."}
_SHOWN = 200  # characters of a call in another form that the error quotes


def form_of(tokenizer: Any) -> ToolForm:
    """The form of the calls of the model that a tokenizer belongs to.

    Its chat template writes a message with a sample call, and the form is the one that this call has. A tokenizer
    without template, or with one that writes no calls (or refuses to), says nothing about it: the form is that of
    Hermes.

    :param tokenizer: Of transformers; not modified.
    :raises BadOption: The template writes calls in a form that is not known here.
    """
    written = _written(tokenizer)
    text = json.dumps(_ARGUMENTS)
    for form in FORMS.values():
        wanted = form.one_call(_NAME, text).removesuffix(form.tail + form.closing if form.has_ids else "")
        spellings = {wanted.replace(form.mark + form.opening[0], form.mark + opening) for opening in form.opening}
        if any(written.startswith(call) if form.at_start else call in written for call in spellings):
            return form
    if _ARGUMENTS["sample"] in written:
        raise BadOption(
            "tools",
            form=None,
            wanted=f"one of {', '.join(map(repr, FORMS))}: the chat template writes calls in another form, "
            f"{written[:_SHOWN]!r}",
        )
    return HERMES


def _written(tokenizer: Any) -> str:
    """What the chat template makes of an answer with a sample call; empty if it makes nothing of it."""
    if getattr(tokenizer, "chat_template", None) is None:
        return ""
    for arguments in (_ARGUMENTS, json.dumps(_ARGUMENTS)):  # some templates want them as text
        function = {"name": _NAME, "arguments": arguments}
        call = {"type": "function", "id": "sample123", "function": function}  # nine characters, as Mistral's want it
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        try:
            prompt = _applied(tokenizer, [_QUESTION], add_generation_prompt=True)
            whole = _applied(tokenizer, [_QUESTION, answer], add_generation_prompt=False)
        except Exception:  # templates raise what they like where they know no calls
            continue
        if _ARGUMENTS["sample"] in whole:
            return whole.removeprefix(prompt)
    return ""


def _applied(tokenizer: Any, messages: list[dict[str, Any]], *, add_generation_prompt: bool) -> str:
    return tokenizer.apply_chat_template(
        messages, tools=[_TOOL], tokenize=False, add_generation_prompt=add_generation_prompt
    )
