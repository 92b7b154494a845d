"""Functions, chat templates and tokenizers that the tests of calls share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from decodeplug import Host
from decodeplug.testing import bpe_tokenizer, tiny_model
from decodeplug.vocabulary import Vocabulary

FUNCTIONS: list[dict[str, Any]] = [
    {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Rome", "Bonn"]}, "days": {"enum": [1, 2]}},
            "required": ["city"],
        },
    },
    {"name": "weather_everywhere"},
    {"name": "say", "parameters": {"properties": {"text": {"type": "string"}}, "required": ["text"]}},
]
TAGS: dict[str, Any] = {
    "name": "tag",
    "parameters": {
        "properties": {"tags": {"type": "array", "items": {"enum": ["red", "blue", "old"]}, "uniqueItems": True}},
        "required": ["tags"],
    },
}
"""A function whose arguments no mask can hold."""

QWEN = r"""
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + (message.content or '') }}
    {%- for call in message.tool_calls or [] %}
        {{- '\n' if message.content or not loop.first }}
        {{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt }}"""

LLAMA = r"""
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
    {%- if message.tool_calls %}
        {%- if message.tool_calls | length != 1 %}{{ raise_exception('one call at once') }}{% endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' + (call.arguments | tojson) + '}' }}
    {%- else %}
        {{- message.content | trim }}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' if add_generation_prompt }}"""

MISTRAL = r"""
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '[INST]SPACE' + message.content + 'SPACE[/INST]' }}
    {%- elif message.tool_calls %}
        {{- '[TOOL_CALLS]SPACE[' }}
        {%- for call in message.tool_calls %}
            {%- if (call.id | length) != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}
            {{- (call.function | tojson)[:-1] + ', "id": "' + call.id + '"}' }}
            {{- ', ' if not loop.last else ']</s>' }}
        {%- endfor %}
    {%- else %}
        {{- message.content + '</s>' }}
    {%- endif %}
{%- endfor %}"""


@dataclass(frozen=True)
class Written:
    """A chat template, the form in which it writes calls, and what it puts behind an answer."""

    template: str
    form: str
    end: str


TEMPLATES = {
    "qwen": Written(QWEN, "hermes", "<|im_end|>\n"),
    "llama": Written(LLAMA, "llama3", "<|eot_id|>"),
    "mistral with SentencePiece": Written(MISTRAL.replace("SPACE", " "), "mistral", "</s>"),
    "mistral with Tekken": Written(MISTRAL.replace("SPACE", ""), "mistral", "</s>"),
}


def tokenizer_with(template: str | None = None, *special: str) -> Any:
    """A tokenizer with a chat template and, behind the end token (id 514), special tokens of these names."""
    tokenizer = bpe_tokenizer()
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


def marked_host(template: str | None = None) -> Host:
    """A host of a tiny model whose tokenizer has a special token for the mark of calls."""
    tokenizer = tokenizer_with(template, "[TOOL_CALLS]")
    return Host(tiny_model(vocab=len(bpe_tokenizer()), padded_to=len(tokenizer)), tokenizer, plugins=[])


BPE = Vocabulary(bpe_tokenizer(), 600, {514})
MARKED = Vocabulary(tokenizer_with(None, "[TOOL_CALLS]"), 600, {514})
"""As the tokenizers of Mistral: the mark of calls is a special token."""
MARK = 515


def call(form: str, name: str, arguments: str) -> str:
    """One call alone, without what stands around calls."""
    key = "parameters" if form == "llama3" else "arguments"
    written = f'{{"name": "{name}", "{key}": {arguments}}}'
    return f"<tool_call>\n{written}\n</tool_call>" if form == "hermes" else written


def answer(form: str, *calls: str) -> str:
    """The answer that consists of these calls."""
    if form == "mistral":
        return f"[TOOL_CALLS][{', '.join(calls)}]"
    return "\n".join(calls)
