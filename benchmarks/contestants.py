"""Who takes part: decodeplug, and ``transformers.generate`` with each peer's logits processor and with none.

Every contestant gets the same prompt ids and the same budget, decodes greedily with the same model object
and returns the ids it wrote. Compiling a schema is not part of a run: it is done, and timed, beforehand.

A *layout* says which whitespace the JSON may have, and everyone gets the same freedom as far as their
libraries can say it: ``compact`` is none at all for everyone; ``spaced`` is one space after each comma and
colon for decodeplug and xgrammar, and an optional space at every joint for Outlines, whose pattern holds for
all joints alike; ``any`` is any whitespace for decodeplug and xgrammar, and Outlines' own default.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from measure import Forwards, Run, watch

__all__ = ["LAYOUTS", "Contestant", "Models", "decodeplug_contestant", "generate_contestants"]

LAYOUTS: dict[str, dict[str, dict[str, Any]]] = {
    "compact": {
        "xgrammar": {"any_whitespace": False, "separators": (",", ":")},
        "outlines": {"whitespace_pattern": ""},
    },
    "spaced": {
        "xgrammar": {"any_whitespace": False, "separators": (", ", ": ")},
        "outlines": {"whitespace_pattern": " ?"},
    },
    "any": {"xgrammar": {"any_whitespace": True}, "outlines": {}},
}
"""What each peer is told for a layout. decodeplug is told its name."""

Generate = Callable[[list[int], int], list[int]]


@dataclass
class Models:
    """The model and tokenizer that everyone uses, and the host where there is one."""

    model: Any
    tokenizer: Any
    host: Any = None

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """The ids of chat messages, with the header of the answer."""
        return list(
            self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
        )

    def text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)


@dataclass
class Contestant:
    """One way to decode.

    :ivar prepare: Compiles a schema (or None) and returns what generates with it.
    :ivar enforces: Whether its results must satisfy the schema.
    :ivar missing: Why it does not take part, if it does not.
    """

    name: str
    prepare: Callable[[dict[str, Any] | None], Generate] | None = None
    enforces: bool = True
    missing: str = ""
    compile_s: dict[str, float] = field(default_factory=dict)

    def ready(self, models: Models, case: str, prompt: list[int], schema: Any, budget: int) -> Callable[[], Run]:
        """Compile for a case, and return what runs it once and measures it.

        A contestant that fails, compiling or running, has a failed run for a result: that is a finding
        of the benchmark, not its end.
        """
        assert self.prepare is not None
        began = time.perf_counter()
        try:
            generate = self.prepare(schema)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            return lambda: Run(math.inf, [], "", Forwards(), reason)
        self.compile_s[case] = time.perf_counter() - began

        def run() -> Run:
            with watch(models.model) as forwards:
                began = time.perf_counter()
                try:
                    ids = generate(prompt, budget)
                except Exception as error:
                    return Run(math.inf, [], "", forwards, f"{type(error).__name__}: {error}")
                text = models.text(ids)
                wall_s = time.perf_counter() - began
            return Run(wall_s, ids, text, forwards)

        return run


def _with_processors(models: Models, processors: Callable[[], list[Any]]) -> Generate:
    """``model.generate``, greedy, with fresh processors each time."""

    def generate(prompt: list[int], budget: int) -> list[int]:
        ids = torch.tensor([prompt], device=models.model.device)
        output = models.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=budget,
            do_sample=False,
            logits_processor=processors(),
            pad_token_id=models.tokenizer.pad_token_id,
        )
        return output[0, len(prompt) :].tolist()

    return generate


def _plain(models: Models, layout: str) -> Contestant:
    return Contestant("plain", lambda schema: _with_processors(models, list), enforces=False)


def _xgrammar(models: Models, layout: str) -> Contestant:
    import xgrammar
    from xgrammar.contrib.hf import LogitsProcessor

    info = xgrammar.TokenizerInfo.from_huggingface(models.tokenizer, vocab_size=models.model.config.vocab_size)
    compiler = xgrammar.GrammarCompiler(info)

    def prepare(schema: dict[str, Any] | None) -> Generate:
        grammar = compiler.compile_json_schema(json.dumps(schema), **LAYOUTS[layout]["xgrammar"])
        return _with_processors(models, lambda: [LogitsProcessor(grammar)])

    return Contestant("xgrammar", prepare)


def _outlines(models: Models, layout: str) -> Contestant:
    import outlines
    from outlines.backends import JSON_SCHEMA_DEFAULT_BACKEND, get_json_schema_logits_processor

    wrapped = outlines.from_transformers(models.model, models.tokenizer)

    def prepare(schema: dict[str, Any] | None) -> Generate:
        processor = get_json_schema_logits_processor(
            JSON_SCHEMA_DEFAULT_BACKEND, wrapped, json.dumps(schema), **LAYOUTS[layout]["outlines"]
        )

        def fresh() -> list[Any]:
            processor.reset()
            return [processor]

        return _with_processors(models, fresh)

    return Contestant("outlines", prepare)


def generate_contestants(models: Models, layout: str) -> list[Contestant]:
    """``transformers.generate`` with none, xgrammar's and Outlines' processor; the missing ones say why."""
    contestants = []
    for name, build in (("plain", _plain), ("xgrammar", _xgrammar), ("outlines", _outlines)):
        try:
            contestants.append(build(models, layout))
        except ImportError as error:
            contestants.append(Contestant(name, missing=f"not installed: {error}"))
    return contestants


def decodeplug_contestant(models: Models, layout: str, name: str = "decodeplug", **options: Any) -> Contestant:
    """``Host.generate``, greedy; ``options`` go to it as they are.

    It is missing if this version of decodeplug does not know the layout, which may be one that no peer has.
    """
    if models.host is None:
        return Contestant(name, missing="no Host: decodeplug is not installed, or this version has no front door")
    import decodeplug

    written: dict[str, Any] = {"layout": layout}
    try:
        decodeplug.json_schema({"type": "object"}, **written)
    except decodeplug.BadOption as error:
        return Contestant(name, missing=str(error))

    def prepare(schema: dict[str, Any] | None) -> Generate:
        constraint = None if schema is None else decodeplug.json_schema(schema, **written)
        if constraint is not None:
            models.host.accepts(constraint, "{}")  # compiles, without calling the model

        def generate(prompt: list[int], budget: int) -> list[int]:
            result = models.host.generate(prompt, constraint=constraint, max_new_tokens=budget, **options)
            return list(result.token_ids)

        return generate

    return Contestant(name, prepare, enforces=True)
