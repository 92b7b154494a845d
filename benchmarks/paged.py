"""The paged cache beside transformers' DynamicCache and a preallocated buffer: step times, bytes held, bytes moved.

    python benchmarks/paged.py [--quick] [--rounds N] [--only NAME ...] [--markdown] [--json FILE]

What is timed is one step: the forward over one new id of each lane, with all that the cache does around it. The
contestants take turns step by step, and each is fed the same ids. Beams go on as those of a real search did, whose
parents are taken down first. Bytes are counted, not measured: what is held is what the cache says of itself, and for
transformers the bytes of its tensors; what is moved leaves out what attention reads where it lies, and of
transformers' cache counts the reordering only, not that it is concatenated anew in every step.

Beside transformers' own step stands one whose linear layers multiply as ours do, so that what the cache alone does is seen;
the preallocated buffer has only that one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from contestants import Models
from loading import add_model_options, load
from measure import Spread
from paged_cases import QUESTIONS, SYSTEM, ids_of
from paged_contestants import Contestant, Ours, Preallocated, Stock, recorded_parents
from report import add_output_options, describe_machine, judge, show_line, show_table, show_verdicts, write_json

STOCK, ALIKE = "DynamicCache", "DynamicCache, our products"
PAGED, SCATTERED, PREALLOCATED = "paged", "paged, scattered", "preallocated, our products"
COLUMNS = [
    "what",
    "cache",
    "ms per step: median (min - max)",
    "of DynamicCache",
    "of it with our products",
    "MB held",
    "KB moved per step",
]
BLOCK = 16


@dataclass
class Line:
    """What one contestant did."""

    seconds: list[float] = field(default_factory=list)
    held: int = 0
    moved: float = 0.0


def compare(contestants: dict[str, Contestant], rounds: int, warm: int = 2) -> dict[str, Line]:
    """Let each take a step per round, beginning with another one each time; memory is read at the end."""
    lines = {name: Line() for name in contestants}
    names = list(contestants)
    for turn in range(rounds + warm):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            began = time.perf_counter()
            contestants[name].step()
            if turn >= warm:
                lines[name].seconds.append(time.perf_counter() - began)
    for name, contestant in contestants.items():
        lines[name].held, lines[name].moved = contestant.held(), contestant.moved() / (rounds + warm)
    return lines


def one_lane(models: Models, rounds: int) -> dict[str, Line]:
    """2,048 ids: in a row, scattered, and in a buffer."""
    texts, products = [ids_of(models.tokenizer, 2048, 0)], models.host.target.products
    return compare(
        {
            STOCK: Stock(models.model, texts),
            ALIKE: Stock(models.model, texts, products=products),
            PREALLOCATED: Preallocated(models.model, texts, 2048 + rounds + 8, products),
            PAGED: Ours(models, texts),
            SCATTERED: Ours(models, texts, scattered=True),
        },
        rounds,
    )


def ragged(models: Models, rounds: int) -> dict[str, Line]:
    """Eight lanes of different lengths."""
    texts = [ids_of(models.tokenizer, 256 * (lane + 1), 97 * lane) for lane in range(8)]
    return compare(
        {
            STOCK: Stock(models.model, texts),
            ALIKE: Stock(models.model, texts, products=models.host.target.products),
            PAGED: Ours(models, texts),
        },
        rounds,
    )


def beams(models: Models, rounds: int) -> dict[str, Line]:
    """Seven hypotheses of one text."""
    prompt = ids_of(models.tokenizer, 1024, 0)
    parents = recorded_parents(models, prompt, 7, rounds + 2)
    return compare(
        {
            STOCK: Stock(models.model, [prompt], 7, parents),
            ALIKE: Stock(models.model, [prompt], 7, parents, models.host.target.products),
            PAGED: Ours(models, [prompt], forks=7, parents=parents),
        },
        rounds,
    )


def samples(models: Models, rounds: int) -> dict[str, Line]:
    """Sixteen texts that begin with one prompt."""
    prompt = ids_of(models.tokenizer, 1000, 0)
    return compare(
        {
            STOCK: Stock(models.model, [prompt], 16),
            ALIKE: Stock(models.model, [prompt], 16, products=models.host.target.products),
            PAGED: Ours(models, [prompt], forks=16),
        },
        rounds,
    )


def samples_of_prompts(models: Models, rounds: int) -> dict[str, Line]:
    """Four texts each that begin with one of four prompts, which have most of their beginning in common."""
    common = ids_of(models.tokenizer, 800, 0)
    prompts = [[*common, *ids_of(models.tokenizer, 200, 97 * (1 + number))] for number in range(4)]
    return compare(
        {
            STOCK: Stock(models.model, prompts, 4),
            ALIKE: Stock(models.model, prompts, 4, products=models.host.target.products),
            PAGED: Ours(models, prompts, forks=4),
        },
        rounds,
    )


def prefills(models: Models) -> float:
    """How often the model computes the prompt that sixteen samples of a request begin with."""
    prompt, seen = ids_of(models.tokenizer, 1000, 0), list[int]()
    embedding = models.model.get_input_embeddings()
    handle = embedding.register_forward_pre_hook(lambda module, args: seen.append(args[0].numel()))
    try:
        sampled = {"strategy": "sample", "num_return_sequences": 16, "max_new_tokens": 1}
        models.host.generate(prompt, cache={"name": "paged", "idle_bytes": len(Ours.made)}, **sampled)
    finally:
        handle.remove()
    return sum(seen) / len(prompt)


def prefixes(models: Models, count: int) -> tuple[float, float, float]:
    """Ids of prompts that are computed, as a share of all; of same texts the share; and the ratio of times."""
    from decodeplug import Request

    host, system = models.host, models.tokenizer(SYSTEM, add_special_tokens=False).input_ids[:800]
    asked = [models.tokenizer(question, add_special_tokens=False).input_ids for question in QUESTIONS[:count]]
    prompts = [[*system, *question] for question in asked]
    texts: dict[str, list[list[int]]] = {}
    took: dict[str, float] = {}
    computed = 0
    for cache in ("dense", "paged"):
        began = time.perf_counter()
        results = list(host.run([Request(prompt, cache=cache, max_new_tokens=12) for prompt in prompts], ordered=True))
        took[cache] = time.perf_counter() - began
        texts[cache] = [result.token_ids for result in results]
        reused = sum(result.trace.cache["reused"] for result in results)
        computed = sum(map(len, prompts)) - reused
    same = [ours == theirs for ours, theirs in zip(texts["paged"], texts["dense"], strict=True)]
    return computed / sum(map(len, prompts)), sum(same) / len(same), took["dense"] / took["paged"]


MEASURED: dict[str, Callable[[Models, int], dict[str, Line]]] = {
    "one lane of 2,048 ids": one_lane,
    "8 ragged lanes": ragged,
    "7 beams behind 1,024 ids": beams,
    "16 samples of 1,000 ids": samples,
    "4 samples of each of 4 prompts": samples_of_prompts,
}
SHORT = ["one", "ragged", "beams", "samples", "prompts"]


def figures(
    found: dict[str, dict[str, Line]], shared: Sequence[float], computed: float | None, unused: int
) -> dict[str, float | None]:
    """What thresholds.toml asks for; None for what was left out."""

    def times(what: str, ours: str, theirs: str = STOCK) -> float | None:
        lines = found.get(what)
        return (
            None if lines is None else Spread.of(lines[ours].seconds).median / Spread.of(lines[theirs].seconds).median
        )

    def share(what: str, figure: Callable[[Line], float]) -> float | None:
        lines = found.get(what)
        return None if lines is None else figure(lines[PAGED]) / figure(lines[STOCK])

    one, eight, seven, sixteen, _ = MEASURED
    return {
        "contiguous_at_most": times(one, PAGED),
        "scattered_at_most": times(one, SCATTERED),
        "contiguous_against_preallocated_at_most": times(one, PAGED, PREALLOCATED),
        "ragged_at_most": times(eight, PAGED),
        "ragged_bytes_at_most": share(eight, lambda line: line.held),
        "beams_at_most": times(seven, PAGED),
        "beams_moved_at_most": share(seven, lambda line: line.moved),
        "samples_at_most": times(sixteen, PAGED),
        "samples_bytes_at_most": share(sixteen, lambda line: line.held),
        "samples_prefills_at_most": computed,
        "unused_slots_at_most": unused if found else None,
        "prefix_forwarded_at_most": shared[0] if shared else None,
        "prefix_same_text_share_at_least": shared[1] if shared else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser)
    parser.add_argument("--quick", action="store_true", help="few rounds, four requests")
    parser.add_argument("--rounds", type=int, default=24, help="steps of each contestant (default 24)")
    parser.add_argument("--only", nargs="+", choices=[*SHORT, "prefixes"], help="leave out the others")
    add_output_options(parser)
    options = parser.parse_args()

    models = load(options)
    if models.host is None:
        raise SystemExit("MISSING CONTESTANT: decodeplug: this version has no Host")
    show_line(describe_machine())
    rounds = 3 if options.quick else options.rounds
    short = dict(zip(SHORT, MEASURED, strict=True))
    chosen = [short[name] for name in options.only or short if name in short]
    found: dict[str, dict[str, Line]] = {}
    rows: list[list[str]] = []
    unused = 0
    for what in chosen:
        Ours.made.clear()
        found[what] = MEASURED[what](models, rounds)
        unused = max([unused, *(ours.unused() for ours in Ours.made)])
        base, alike = (Spread.of(found[what][name].seconds).median for name in (STOCK, ALIKE))
        for name, line in found[what].items():
            spread = Spread.of([1000 * seconds for seconds in line.seconds])
            median = Spread.of(line.seconds).median
            row = [
                what,
                name,
                spread.text(1),
                f"{median / base:.3f}",
                f"{median / alike:.3f}",
                f"{line.held / 1e6:.1f}",
                f"{line.moved / 1e3:.1f}",
            ]
            rows.append(row)
            show_line(" | ".join(row))
    show_table(f"Steps, {rounds} rounds, blocks of {BLOCK}", COLUMNS, rows, options.markdown)
    shared: tuple[float, ...] = ()
    if options.only is None or "prefixes" in options.only:
        shared = prefixes(models, 4 if options.quick else 20)
        show_line(f"prefixes: {shared[0]:.3f} of the prompts' ids computed; {shared[2]:.2f} x as fast as dense")
    computed = prefills(models) if options.only is None or "samples" in options.only else None
    verdicts = judge("paged", figures(found, shared, computed, unused))
    show_verdicts(verdicts, options.markdown)
    if options.json:
        write_json(options.json, verdicts, rows=[dict(zip(COLUMNS, row, strict=True)) for row in rows])


if __name__ == "__main__":
    main()
