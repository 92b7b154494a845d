"""Measure JSON schemas against the JSON Schema Test Suite, and print a table by keyword.

Run it from the top of the repository: ``python -m tests.conformance.report``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.suite import DRAFTS, PARTS, VARIABLE, groups, located, registry
from conformance.tally import COLUMNS, Tally, fault_of, row_of, tallied
from conformance.verdict import Verdict, verdict_of

LEGEND = """
right     every valid instance is accepted and every invalid one rejected; or nothing satisfies the schema, and it is
          refused as such
refused   before the first token, with a reason
wrong     all others
accepted  invalid instances that the masks (host.accepts) allow: must be 0
slip      those of them that the last check of a result lets pass as well
rejected  valid instances that the masks do not allow, or that the last check refuses
moved     instances that are allowed only with their keys in another order than the schema's; no fault
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was asked for; nothing is written but the file that ``--json`` names."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    suite = located(options.suite)
    tallies: list[Tally] = []
    verdicts: list[Verdict] = []
    for draft in options.draft or DRAFTS:
        documents = registry(suite, draft)
        for part in options.part or ("required", "format"):
            chosen = (group for group in groups(suite, draft, part) if options.only in (None, group.keyword))
            found = [verdict_of(group, documents) for group in chosen]
            if not found:
                continue
            rows = [tallied(list(some), name) for name, some in groupby(found, lambda verdict: verdict.group.keyword)]
            _print_table(rows, tallied(found))
            tallies += [*rows, tallied(found)]
            verdicts += found
    if not verdicts:
        raise SystemExit(f"nothing of the suite is {options.only!r}")
    sys.stdout.write(LEGEND)
    if options.verbose:
        _print_faults(verdicts)
    if options.json is not None:
        content = {"tallies": [tally.as_dict() for tally in tallies], "schemas": list(map(row_of, verdicts))}
        options.json.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.report", description=__doc__)
    where = f"the suite's folder (else ${VARIABLE}, else pip gets it with the source of jsonschema)"
    parser.add_argument("--suite", type=Path, metavar="FOLDER", help=where)
    parser.add_argument("--draft", action="append", choices=list(DRAFTS), help="only this draft")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this part; else required and format")
    parser.add_argument("--only", metavar="KEYWORD", help="only this file of the suite")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it into a file")
    parser.add_argument("--verbose", action="store_true", help="list each schema that is not right, and why")
    return parser


def _print_table(rows: Sequence[Tally], whole: Tally) -> None:
    width = max(len(tally.keyword) for tally in [*rows, whole])
    headings = "  ".join(f"{heading:>9}" for heading, _ in COLUMNS)
    sys.stdout.write(f"\ndraft {whole.draft}, {whole.part}\n{'':{width}}  {headings}  commonest reasons of refusal\n")
    for tally in [*rows, whole]:
        numbers = "  ".join(f"{tally.counts[name] or '.':>9}" for _, name in COLUMNS)
        shown = 8 if tally is whole else 2
        reasons = "; ".join(f"{count}x {reason}" for reason, count in tally.reasons[:shown])
        more = len(tally.reasons) - shown
        reasons += f"; {more} more" if more > 0 else ""
        sys.stdout.write(f"{tally.keyword:{width}}  {numbers}  {reasons}".rstrip() + "\n")
    sys.stdout.write(f"{whole.share:.1f} % of the schemas are right\n")


def _print_faults(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if verdict.kind == "right":
            continue
        row = row_of(verdict)
        schema = json.dumps(verdict.group.schema, ensure_ascii=False)
        sys.stdout.write(f"\n{verdict.kind}: {verdict.group.name}\n  schema   {schema}\n")
        if fault := fault_of(verdict):
            sys.stdout.write(f"  fault    {fault}\n")
        for wrong in row["wrong_instances"]:
            what = "rejected" if wrong["valid"] else "accepted"
            check = f" [last check: {wrong['last_check']}]" if wrong["last_check"] else ""
            sys.stdout.write(f"  {what} {wrong['text']}  ({wrong['description']}){check}\n")


if __name__ == "__main__":
    main()
