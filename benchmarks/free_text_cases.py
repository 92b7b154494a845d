"""Prompts without a constraint, for the rows "never slower than plain generate()".

``OPEN`` are questions whose answer is not in the prompt, so that drafts by lookup do not help and must
not cost anything. ``COPYING`` are tasks whose answer repeats the prompt, so that lookup has something to
find. Both were written before the code that they judge.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COPYING", "OPEN", "TextCase"]


@dataclass(frozen=True)
class TextCase:
    """One prompt: a name, one user message, and the budget that everyone gets."""

    name: str
    prompt: str
    max_new_tokens: int = 128

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return [{"role": "user", "content": self.prompt}]


OPEN: tuple[TextCase, ...] = (
    TextCase("sky", "Why is the sky blue, and why is it red in the evening?"),
    TextCase("lighthouse", "Write the beginning of a story about a lighthouse keeper who finds a letter."),
    TextCase("bicycle", "How does a bicycle stay upright while it is moving?"),
    TextCase("interview", "What should I pay attention to in a job interview?"),
    TextCase("poem", "Write a poem about the first snow of the year."),
    TextCase("bread", "How is bread made?"),
    TextCase("printing", "What changed in Europe after the invention of the printing press?"),
    TextCase("birthday", "Suggest a surprise for my grandmother's eightieth birthday."),
    TextCase("sleep", "Why do people need sleep?"),
    TextCase("argument", "Argue for and against homework in primary schools."),
)

_NOTICE = (
    "The library on Mill Road will be closed from Monday 3 June to Friday 14 June while the heating is replaced. "
    "Books that are due in this time may be returned until Saturday 22 June without a fee. The reading room on the "
    "second floor stays open from ten to four; please use the side entrance in Bell Lane. Reserved books wait for you "
    "at the branch in Station Street."
)
_CODE = (
    "def mean_of_columns(rows):\n"
    "    totals = [0.0] * len(rows[0])\n"
    "    for row in rows:\n"
    "        for column, value in enumerate(row):\n"
    "            totals[column] += value\n"
    "    return [total / len(rows) for total in totals]\n"
)

COPYING: tuple[TextCase, ...] = (
    TextCase("summary", f"Summarise this notice in two sentences, and keep its wording.\n\n{_NOTICE}"),
    TextCase("repeat", f"Repeat this notice word for word.\n\n{_NOTICE}"),
    TextCase("rename", f"Rewrite this function and rename totals to sums. Show the code only.\n\n{_CODE}"),
    TextCase(
        "question-on-text",
        f"Where do I find the books that I reserved? Quote the sentence.\n\n{_NOTICE}",
        max_new_tokens=64,
    ),
)
