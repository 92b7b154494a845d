"""What caches that approximate take, and how much they change what SmolLM2 says.

    python benchmarks/lossy.py --calibration FOLDER [--quick] [--markdown] [--json FILE]

The folder is one of ``decodeplug cache calibrate --model smollm2 --bits 3 --out FOLDER``, calibrated with text that the model
wrote itself. Documents are those of lossy_cases.py; each is read with all caches side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from statistics import mean, median
from typing import Any

from lossy_cases import LENGTH, documents
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

from decodeplug import Host
from decodeplug.caches import Dense, Latent, Paged, Quantised
from decodeplug.fidelity import Fidelity, measure
from decodeplug.fidelity.pages import COLUMNS, cells


def caches(calibration: str) -> dict[str, Any]:
    """What is judged, by the names of the thresholds, and what it is compared with."""
    return {
        "dense": Dense(),
        "paged": Paged(),
        "8 bit": Quantised(8),
        "quantised_4bit": Quantised(4),
        "groups of 32": Quantised(4, group=32),
        "2 bit": Quantised(2),
        "2 bit, groups of 32": Quantised(2, group=32),
        "latent_3bit": Latent(calibration, bits=3),
        "latent_2bit": Latent(calibration, bits=2),
        "low_rank": Latent(calibration, bits=8, widths=(0, 16)),
    }


def together(found: Sequence[Fidelity], place: int) -> dict[str, float]:
    """What the documents, which are equally long, say of one cache together."""
    rows = [one.rows[place] for one in found]
    return {
        "bytes": mean(row.bytes_per_id for row in rows),
        "of_float16": mean(row.of_float16 or 0.0 for row in rows),
        "kl": mean(row.kl for row in rows),
        "top1": mean(row.top1 for row in rows),
        "perplexity": exp(mean(log(row.perplexity_ratio) for row in rows)),
        "step": median(row.step_ratio for row in rows),
    }


def figures(rows: dict[str, dict[str, float]]) -> dict[str, float | None]:
    """By the names of the thresholds."""
    judged: dict[str, float | None] = {}
    for name in ("quantised_4bit", "latent_3bit", "latent_2bit", "low_rank"):
        judged[f"{name}_perplexity_at_most"] = rows[name]["perplexity"]
        judged[f"{name}_kl_at_most"] = rows[name]["kl"]
    plain = rows["2 bit"]
    if plain["bytes"] < rows["latent_2bit"]["bytes"]:
        raise ValueError("plain quantisation takes fewer bytes: the two cannot be compared")
    judged["latent_2bit_against_quantised_at_most"] = rows["latent_2bit"]["kl"] / plain["kl"]
    return judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="one document")
    add_output_options(parser)
    options = parser.parse_args()
    show_line(describe_machine())
    named = caches(str(options.calibration))
    with Host.from_pretrained("smollm2", plugins=[]) as host:
        texts = {name: host.tokenizer(text)["input_ids"][:LENGTH] for name, text in documents().items()}
        some = list(texts)[:1] if options.quick else list(texts)
        found: dict[str, Fidelity] = {}
        for name in some:
            found[name] = measure(host, list(named.values()), [texts[name]])
            lines = [cells(row) for row in found[name].rows]
            show_table(f"{name}: {found[name].ids:,} ids", COLUMNS, lines, options.markdown)
    rows = {name: together(list(found.values()), place) for place, name in enumerate(named)}
    columns = ["cache", "bytes an id", "of float16", "KL, nats", "same top 1", "perplexity, x exact", "step, x dense"]
    lines = [
        [name, f"{row['bytes']:,.0f}", f"{row['of_float16']:.3f}", f"{row['kl']:.5f}", f"{row['top1']:.2%}",
         f"{row['perplexity']:.4f}", f"{row['step']:.2f}"]
        for name, row in rows.items()
    ]  # fmt: skip
    show_table("all documents", columns, lines, options.markdown)
    verdicts = judge("lossy", figures(rows))
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=rows, documents={name: one.to_dict() for name, one in found.items()})


if __name__ == "__main__":
    main()
