"""Measure every family and write ``docs/families.md`` and the list of verified families.

Run it from the top of the repository: ``python -m tests.families.report``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from families.outcome import CANNOT_BE_BUILT, REFUSED, outcome_of, why_not  # noqa: E402 - after the path is set

from decodeplug.errors import UnsupportedModel  # noqa: E402
from decodeplug.target import Target  # noqa: E402
from decodeplug.testing.families import families, family_model  # noqa: E402
from decodeplug.testing.recipes import FLOAT32_ONLY  # noqa: E402

CACHES = ["dense", "paged", "stored-input", "none"]

HEAD = """# Model families

Written by `make families`; do not edit. transformers {version}.

Every family that `AutoModelForCausalLM` knows is built tiny and random, and three lanes with prompts of 5, 12 and 9 ids
(a window, where there is one, is 8) go through one schedule: a ragged prefill, drafts whose first id is right and whose
others are wrong, lanes with nothing to feed, mixed widths. Each row of logits is held against the one that `generate()`
computed for that prompt alone.

- *path*: **ragged**: all lanes share a forward, each at its own length. **grouped**: lanes of equal width (or equal length)
  share one. **steps**: each lane has the model's own cache and is fed as `generate()` feeds it. **recompute**: no cache.
- *drafts*: whether drafted ids are worth anything; where not, the chain drafts none.
- *difference*: the largest absolute difference of any logit with the dense cache / with the paged one, in blocks of two
  ids (-: the model keeps its own cache) / with stored inputs (-: keys are not one matrix times an input, or not larger) /
  without a cache. All arithmetic is held in float64, also where a model asks for
  float32 (`1e-10` is the limit); families marked 32 know only float32.

| family | path | drafts | difference | note |
|---|---|---|---|---|
"""
FOOT = """
{exact} of {total} families give the logits of `generate()`, ids and all. The others:

{others}
"""
VERIFIED = '''"""Families that were measured to be exact; any other is probed once when a target is made.

Written by ``make families``; do not edit.
"""

from __future__ import annotations

__all__ = ["VERIFIED"]

VERIFIED = frozenset(
    {{
{names}
    }}
)
'''


def _in_short(error: Exception) -> str:
    """The last line of an error, without advice behind its first sentence."""
    line = [line for line in str(error).splitlines() if line.strip()][-1]
    return line.strip().split(". ")[0].rstrip(".")


def _row(family: str) -> tuple[str, str | None]:
    """The family's row, or why it has none."""
    try:
        target = Target(family_model(family))
    except UnsupportedModel as refused:
        return "", f"refused: {refused.because}"
    except Exception as failed:
        return "", f"transformers cannot build it from its config here: {_in_short(failed)}"
    try:
        measured = {cache: outcome_of(family, cache) for cache in CACHES if why_not(target, cache) is None}
    except Exception as failed:
        return "", f"**failed**: {_in_short(failed)}"
    dense, wrong = measured["dense"], sum(one.wrong_rows for one in measured.values())
    worst = max(one.worst for one in measured.values())
    difference = " / ".join(f"{measured[cache].worst:.0e}" if cache in measured else "-" for cache in CACHES)
    difference += " (32)" if family in FLOAT32_ONLY else ""
    note = target.choice.quirk.because
    if wrong or worst > (3e-5 if family in FLOAT32_ONLY else 1e-10):
        return "", f"**wrong**: {wrong} ids, difference {difference}"
    return f"| {family} | {dense.path} | {'yes' if dense.rewinds else 'no'} | {difference} | {note} |", None


def main() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    rows, others = [], []
    for family in families():
        row, problem = _row(family)
        sys.stderr.write(f"{row or problem}\n")
        if problem is None:
            rows.append((family, row))
        else:
            others.append((family, problem))
    page = HEAD.format(version=transformers.__version__) + "\n".join(row for _, row in rows) + "\n"
    page += FOOT.format(
        exact=len(rows), total=len(families()), others="\n".join(f"- {family}: {problem}" for family, problem in others)
    )
    (ROOT / "docs" / "families.md").write_text(page)
    names = "\n".join(f'        "{family}",' for family, _ in rows)
    (ROOT / "src" / "decodeplug" / "target" / "verified.py").write_text(VERIFIED.format(names=names))
    unexpected = [family for family, _ in others if family not in REFUSED and family not in CANNOT_BE_BUILT]
    if unexpected:
        raise SystemExit(f"not exact, and not expected to fail: {', '.join(unexpected)}")


if __name__ == "__main__":
    main()
