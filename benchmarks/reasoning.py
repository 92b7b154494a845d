"""What a small model gets right of easy sums: asked plainly, with examples, with thoughts, and with a vote about them.

    python benchmarks/reasoning.py [--quick] [--device cuda] [--dtype bfloat16] [--markdown] [--json FILE]

The sums are those of reasoning_cases.py, and the same for every way. An answer is right if its number is. Of zero-shot
answers the last number counts, of the others the one behind "The answer is". The first three ways decode greedily;
the others sample, each sum with its own number as the seed, so that the one sample is the first text of the vote. The
interval is Wilson's, for 95 %.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from loading import add_model_options, load
from reasoning_cases import SUMS, WORKED, Sum
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

from decodeplug import Host, Result
from decodeplug.prompting import ChainOfThought, Example, Message, chat

THINKING = ChainOfThought()
LAST_NUMBER = rf"({THINKING.pattern})"
SINGLE = "chain of thought, one sample"
COLUMNS = ["way", "right", "share", "95 % interval", "new tokens", "forwards", "forwarded tokens", "seconds"]


@dataclass(frozen=True)
class Way:
    """One way to ask.

    :ivar ask: From a question to chat messages. :ivar answer: Where the number is in what the model writes.
    """

    name: str
    ask: Callable[[str], list[Message]]
    answer: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """What one way did."""

    right: int = 0
    asked: int = 0
    tokens: int = 0
    forwards: int = 0
    forwarded: int = 0
    seconds: float = 0.0
    said: list[dict[str, Any]] = field(default_factory=list)

    def row(self, name: str) -> list[str]:
        low, high = wilson(self.right, self.asked)
        shares = [f"{self.right / self.asked:.0%}", f"{low:.0%} to {high:.0%}"]
        counts = [str(self.tokens), str(self.forwards), str(self.forwarded), f"{self.seconds:.0f}"]
        return [name, f"{self.right} of {self.asked}", *shares, *counts]


def wilson(right: int, asked: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927).

    :param z: How many standard deviations; 1.96 for 95 %.
    """
    share, square = right / asked, z * z / asked
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / asked + square / (4 * asked))
    return max(0.0, middle - half), min(1.0, middle + half)


def gained(before: Tally, after: Tally, z: float = 1.959964) -> tuple[float, float, float]:
    """How much larger the second share is, with the interval of a paired difference: both were asked the same sums."""
    pairs = zip(before.said, after.said, strict=True)
    steps = [int(new["given"] == new["wanted"]) - int(old["given"] == old["wanted"]) for old, new in pairs]
    mean, half = statistics.mean(steps), z * statistics.stdev(steps) / math.sqrt(len(steps))
    return mean, mean - half, mean + half


def ways(paths: int) -> list[Way]:
    """All ways; ``paths`` is how many texts vote."""
    plain = [Example(one.question, f"{THINKING.marker} {one.answer}.") for one in WORKED]
    worked = [THINKING.example(one.question, one.thoughts, str(one.answer)) for one in WORKED]

    def thoughtful(question: str) -> list[Message]:
        return chat(THINKING.ask(question), examples=worked)

    sample = {"strategy": "sample", "processors": ["temperature=0.7"]}
    vote = {**sample, "strategy": "self-consistency", "n": paths, "answer": THINKING.answer}
    return [
        Way("zero-shot", chat, LAST_NUMBER),
        Way("few-shot", lambda question: chat(question, examples=plain), THINKING.answer),
        Way("chain of thought", thoughtful, THINKING.answer),
        Way(SINGLE, thoughtful, THINKING.answer, sample),
        Way(f"chain of thought, vote of {paths}", thoughtful, THINKING.answer, vote),
    ]


def number_in(text: str, pattern: str) -> float | None:
    """The last number that the pattern finds, or None."""
    found = re.findall(pattern, text)
    return float(found[-1].replace(",", "")) if found else None


def run(host: Host, way: Way, cases: Sequence[Sum], budget: int) -> Tally:
    """Ask one way about all sums, one after the other."""
    tally = Tally()
    for seed, case in enumerate(cases):
        began = time.perf_counter()
        result = host.generate(way.ask(case.question), max_new_tokens=budget, seed=seed, **way.options)
        tally.seconds += time.perf_counter() - began
        _count(tally, result, case, number_in(result.text, way.answer))
    return tally


def _count(tally: Tally, result: Result, case: Sum, given: float | None) -> None:
    trace = result.trace
    tally.asked += 1
    tally.right += given == case.answer
    tally.tokens += trace.tokens
    tally.forwards += trace.forwards
    tally.forwarded += sum(step.width for step in trace.steps)
    facts = {"question": case.question, "wanted": case.answer, "given": given, "text": result.text}
    tally.said.append({**facts, "agreement": result.agreement, "notes": trace.notes})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="every seventh sum")
    parser.add_argument("--paths", type=int, default=8, help="texts that vote")
    parser.add_argument("--max-new-tokens", type=int, default=80, help="of every text")
    add_output_options(parser)
    options = parser.parse_args()

    host = load(options).host
    cases = SUMS[::7] if options.quick else SUMS
    show_line(describe_machine())
    rows, facts, tallies = [], {}, {}
    for way in ways(options.paths):
        tallies[way.name] = tally = run(host, way, cases, options.max_new_tokens)
        rows.append(tally.row(way.name))
        facts[way.name] = tally.said
        show_line(" | ".join(rows[-1]))
    show_table(f"{len(cases)} sums", COLUMNS, rows, options.markdown)
    more, low, high = gained(tallies[SINGLE], tally)
    show_line(f"The vote is right {more:+.3f} more often than one sample, 95 % interval {low:+.3f} to {high:+.3f}.")
    verdicts = judge("reasoning", {"vote_minus_single_at_least": more})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, ways=facts, missing=[])


if __name__ == "__main__":
    main()
