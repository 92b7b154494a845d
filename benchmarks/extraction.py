"""What a small model reads out of short texts: constrained to a form, in each layout, beside free text that is parsed.

    python benchmarks/extraction.py [--quick] [--markdown] [--json FILE]

Everyone gets the same prompt, which shows the form and asks for JSON, and the same budget, and decodes greedily; so each
runs once. Counted are the fields that are right (see extraction_scoring.py). Free text is plain generate(); of it,
the first JSON object counts, and if that does not parse, all fields are wrong. A layout that this version of decodeplug
does not know is reported as missing.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from contestants import Contestant, Models, decodeplug_contestant, generate_contestants
from extraction_cases import EXTRACTION_CASES
from extraction_scoring import Score, score
from extraction_task import ExtractionCase
from loading import add_model_options, load
from measure import Run
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

LAYOUTS = ("model", "compact", "spaced", "any")
FREE = "free text"
TOTALS = ["way", "right fields", "share", "answers that parse", "that satisfy the schema", "tokens: mean"]


@dataclass(frozen=True)
class Answer:
    """What one way to decode wrote for one task, and how much of it is right."""

    run: Run
    score: Score

    @property
    def cell(self) -> str:
        """``right/total``, or that it failed."""
        return "FAILED" if self.run.error else f"{self.score.right}/{self.score.total}"


Answers = Mapping[str, Answer]
"""The answers to one task by the name of the way; missing ways have none."""


def layout_way(layout: str) -> str:
    """The name of the way that is constrained, with this layout."""
    return f"layout {layout}"


def ways(models: Models) -> list[Contestant]:
    """Constrained, in each layout, and free text; those that this version lacks say why."""
    plain = next(contestant for contestant in generate_contestants(models, "any") if contestant.name == "plain")
    constrained = [decodeplug_contestant(models, layout, layout_way(layout)) for layout in LAYOUTS]
    return [*constrained, replace(plain, name=FREE)]


def run_case(case: ExtractionCase, contestants: Sequence[Contestant], models: Models) -> dict[str, Answer]:
    """The answers of everyone who is not missing."""
    prompt, shape = models.prompt(case.messages), case.shape
    answers = {}
    for way in contestants:
        if not way.missing:
            run = way.ready(models, case.name, prompt, shape.schema, shape.max_new_tokens)()
            answers[way.name] = Answer(run, score(case.expected, shape.schema, run.text))
    return answers


def table_row(case: ExtractionCase, answers: Answers, names: Sequence[str]) -> list[str]:
    """One task's figures."""
    cells = [answers[name].cell if name in answers else "MISSING" for name in names]
    return [f"{case.shape.name} / {case.name}", *cells]


def right_share(results: Sequence[Answers], name: str) -> float | None:
    """Right fields of all fields; None if this way is missing."""
    if any(name not in answers for answers in results):
        return None
    scores = [answers[name].score for answers in results]
    return sum(one.right for one in scores) / sum(one.total for one in scores)


def totals_row(results: Sequence[Answers], name: str) -> list[str]:
    """One way's figures over all tasks."""
    share = right_share(results, name)
    if share is None:
        return [name, "MISSING", *["-"] * (len(TOTALS) - 2)]
    given = [answers[name] for answers in results]
    scores = [answer.score for answer in given]
    return [
        name,
        f"{sum(one.right for one in scores)} of {sum(one.total for one in scores)}",
        f"{share:.1%}",
        f"{sum(one.parses for one in scores)} of {len(scores)}",
        f"{sum(one.fits for one in scores)} of {len(scores)}",
        f"{statistics.fmean(len(answer.run.token_ids) for answer in given):.1f}",
    ]


def constrained_minus_free(results: Sequence[Answers]) -> float | None:
    """The share of right fields in the model's own layout minus that of free text; None if one is missing."""
    ours, free = right_share(results, layout_way("model")), right_share(results, FREE)
    return None if ours is None or free is None else ours - free


def facts(case: ExtractionCase, answers: Answers) -> dict[str, Any]:
    """One task's answers as plain data, texts and mistakes included."""
    said = {name: {"text": one.run.text, "error": one.run.error, **asdict(one.score)} for name, one in answers.items()}
    return {"case": case.name, "shape": case.shape.name, "answers": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="every fourth prompt: one of each shape")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    contestants = ways(models)
    missing = [f"MISSING CONTESTANT: {c.name}: {c.missing}" for c in contestants if c.missing]
    for line in [describe_machine(), *missing]:
        show_line(line)
    names = [contestant.name for contestant in contestants]
    columns = ["prompt", *names]
    cases = EXTRACTION_CASES[::4] if options.quick else EXTRACTION_CASES

    results, rows = [], []
    for case in cases:
        results.append(run_case(case, contestants, models))
        rows.append(table_row(case, results[-1], names))
        show_line(" | ".join(rows[-1]))
        for name, answer in results[-1].items():
            if answer.run.error:
                show_line(f"FAILED: {case.name} / {name}: {answer.run.error}")
    show_table(f"{len(cases)} prompts: right fields of all fields", columns, rows, options.markdown)
    show_table("Totals", TOTALS, [totals_row(results, name) for name in names], options.markdown)
    verdicts = judge("extraction", {"constrained_minus_free_at_least": constrained_minus_free(results)})
    show_verdicts(verdicts, options.markdown)
    if options.json:
        tasks = [facts(case, answers) for case, answers in zip(cases, results, strict=True)]
        write_json(options.json, verdicts, tasks=tasks, missing=missing)


if __name__ == "__main__":
    main()
