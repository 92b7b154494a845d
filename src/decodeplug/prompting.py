"""Prompts put together from parts: plain functions that return texts and chat messages.

    from decodeplug.prompting import ChainOfThought, chat, structured

    thinking = ChainOfThought()
    messages = chat(thinking.ask("Tom has 3 apples and buys 4. How many has he?"))
    host.generate(messages, strategy="self-consistency", answer=thinking.answer)

Messages go through the tokenizer's chat template, like any that are written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from decodeplug.errors import BadOption

__all__ = ["ChainOfThought", "Example", "Message", "chat", "structured"]

Message = dict[str, str]
"""``{"role": ..., "content": ...}``."""


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked, and what was a good answer to it."""

    question: str
    answer: str


def structured(task: str, *, instructions: str = "", context: str = "", constraints: Iterable[str] = ()) -> str:
    """One text whose parts are told apart by headings, in the order in which they are best read.

    :param task: What this prompt is about: the input. It comes last, nearest to the answer.
    :param instructions: What to do with it. :param context: What to know for it.
    :param constraints: What the answer must keep to, one point each.
    :returns: The parts that are not empty; ``task`` alone, without a heading, where it is the only one.
    """
    points = "\n".join(f"- {point}" for point in constraints)
    parts = {"Context": context, "Instructions": instructions, "Constraints": points, "Input": task}
    given = {heading: text.strip() for heading, text in parts.items() if text.strip()}
    if list(given) == ["Input"]:
        return given["Input"]
    return "\n\n".join(f"{heading}:\n{text}" for heading, text in given.items())


def chat(question: str, *, system: str = "", examples: Iterable[Example] = ()) -> list[Message]:
    """Chat messages that end with a question.

    :param system: What the model shall be; the first message, where it is given.
    :param examples: Turns of user and assistant before the question, which the model will go on like.
    """
    messages = [{"role": "system", "content": system}] if system else []
    for example in examples:
        messages.append({"role": "user", "content": example.question})
        messages.append({"role": "assistant", "content": example.answer})
    return [*messages, {"role": "user", "content": question}]


@dataclass(frozen=True, slots=True)
class ChainOfThought:
    """Have the model think before it answers, and find the answer behind its thoughts.

    :param cue: What is added to a question. ``{marker}`` in it is the marker.
    :param marker: What the answer shall follow.
    :param pattern: What an answer looks like, as a regular expression; a number unless told otherwise.
    :raises BadOption: The marker is empty, or the pattern is no regular expression.
    Source: Wei et al. 2022, arXiv:2201.11903, for worked examples; Kojima et al. 2022, arXiv:2205.11916, for the cue.
    """

    cue: str = 'Think step by step. Then write "{marker}" and the answer.'
    marker: str = "The answer is"
    pattern: str = r"-?\d+(?:,\d{3})*(?:\.\d+)?"

    def __post_init__(self) -> None:
        if not self.marker.strip():
            raise BadOption("chain of thought", marker=self.marker, wanted="a text that comes before the answer")
        try:
            re.compile(self.answer)
        except re.error as error:
            raise BadOption(
                "chain of thought", pattern=self.pattern, wanted=f"a regular expression: {error}"
            ) from error

    def ask(self, question: str) -> str:
        """The question with the cue."""
        return f"{question}\n{self.cue.replace('{marker}', self.marker)}".strip()

    def example(self, question: str, thoughts: str, answer: str) -> Example:
        """A worked example: asked like a question, with thoughts and the answer behind the marker."""
        return Example(self.ask(question), f"{thoughts} {self.marker} {answer}.")

    @property
    def answer(self) -> str:
        """A regular expression whose group 1 is the answer: for ``answer=`` of "self-consistency"."""
        return rf"(?i:{re.escape(self.marker)})\W*?({self.pattern})"
