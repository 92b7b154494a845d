"""Measure the routing of every mixture-of-experts family and write ``docs/moe_families.md``.

Run it from the top of the repository: ``python -m tests.routing.families_page``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from routing.family_routing import outcome_of  # noqa: E402 - after the path is set
from routing.moe_families import CANNOT, build, moe_families  # noqa: E402

HEAD = """# Families with experts

Written by `make families`; do not edit. transformers {version}.

Every family of the installed transformers whose code chooses experts is built tiny and random, with random corrections
where its router has some for the choice alone. Three prompts are continued greedily, by beams, of which two are
returned, and with drafts of which some are wrong: each alone, and all three in one ragged batch with the inspector `moe-routing`. What is
reported of each token and layer is held against what the router's definition gives, which is written down a second time in
`tests/routing/definitions.py`, for the ids of each text fed alone.

- *layers*: places where experts are chosen. *choices*: chosen experts that were compared, all of which must be right.
- *difference*: the largest absolute difference of a weight or of a router's probability. All arithmetic is held in float64, also
  where a model asks for float32; families marked 32 know only float32.

| family | path | layers | texts | choices | difference |
|---|---|---|---|---|---|
"""
FOOT = """
{right} of {total} families are right. The others:

{others}
"""


def _row(family: str) -> tuple[str, str | None]:
    """The family's row, or why it has none."""
    if family in CANNOT:
        return "", CANNOT[family]
    try:
        model = build(family)
        outcome = outcome_of(model)
    except Exception as failed:
        return "", f"**failed**: {type(failed).__name__}: {str(failed).strip().splitlines()[-1]}"
    marked = " (32)" if model.dtype == torch.float32 else ""
    if len(outcome.sets) < 3 * outcome.layers:
        return "", f"**shows nothing**: {len(outcome.sets)} sets of experts in {outcome.layers} layers"
    if outcome.wrong or outcome.worst > (1e-4 if marked else 1e-9):
        return "", f"**wrong**: {outcome.wrong} of {outcome.choices} choices, difference {outcome.worst:.0e}"
    return (
        f"| {family} | {outcome.path} | {outcome.layers} | {outcome.texts} | {outcome.choices} | {outcome.worst:.0e}{marked} |",
        None,
    )


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    rows, others = [], []
    for family in moe_families():
        row, problem = _row(family)
        sys.stderr.write(f"{family}: {problem or row}\n")
        if problem is None:
            rows.append(row)
        else:
            others.append(f"- {family}: {problem}")
    page = HEAD.format(version=transformers.__version__) + "\n".join(rows) + "\n"
    page += FOOT.format(right=len(rows), total=len(moe_families()), others="\n".join(others))
    (ROOT / "docs" / "moe_families.md").write_text(page, encoding="utf-8")
    if any("**" in line for line in others):
        raise SystemExit("not right, and not expected to fail: see docs/moe_families.md")


if __name__ == "__main__":
    main()
