"""Train a small mixture-of-experts model, and see routing collapse, its remedy, and what experts specialise in.

    python examples/moe_toy.py --out toy --minutes 6
    python examples/moe_toy.py --out toy-alone --minutes 6 --aux-loss 0
    decodeplug moe report --model toy --text SOME.txt --out toy.html

The model is a Mixtral of 8 experts, 2 for each byte, from random weights. The text is what every Python has on disk: prose (the
topics of ``help()``), code (the standard library), and arithmetic (sums that are made up). The first command adds the load
balancing loss to what is learned, the second does not; all else is the same. Both measure on rows of each kind that were not
learned from, print what they find, and draw two figures.
"""

from __future__ import annotations

import argparse
import inspect
import json
import pydoc_data.topics
import random
import statistics
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from decodeplug.routing import Routing, auxiliary_loss, balance, collapse, specialisation
from decodeplug.routing.training import RoutingWatch
from decodeplug.testing import byte_tokenizer
from transformers import MixtralConfig, MixtralForCausalLM

from svg_bars import grouped_bars

WIDTH, BATCH, RATE, K = 128, 16, 2e-3, 2
HELD = 16  # rows of each kind that are not learned from
KINDS = ("arithmetic", "code", "prose")


def texts(seed: int) -> dict[str, str]:
    """About half a million characters of each kind."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    code = "".join(path.read_text(encoding="utf-8", errors="ignore") for path in modules[:60])
    prose = "\n\n".join(topic for _, topic in sorted(pydoc_data.topics.topics.items()))
    draw = random.Random(seed)
    sums = []
    for _ in range(30_000):
        one, other, sign = draw.randrange(1000), draw.randrange(1000), draw.choice("+-*")
        value = {"+": one + other, "-": one - other, "*": one * other}[sign]
        sums.append(f"{one} {sign} {other} = {value}\n")
    return {"arithmetic": "".join(sums), "code": code, "prose": inspect.cleandoc(prose)}


def rows_of(text: str) -> torch.Tensor:
    """``[rows, WIDTH]`` int64, the bytes of a text."""
    data = torch.frombuffer(bytearray(text.encode("utf-8", errors="ignore")[:500_000]), dtype=torch.uint8).long()
    return data[: len(data) // WIDTH * WIDTH].view(-1, WIDTH)


def model_of(seed: int) -> Any:
    """A Mixtral of four layers and 1.8 million weights."""
    torch.manual_seed(seed)
    config = MixtralConfig(
        vocab_size=259, hidden_size=128, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, num_local_experts=8, num_experts_per_tok=K, router_aux_loss_coef=0.0,
        pad_token_id=256, bos_token_id=257, eos_token_id=258, tie_word_embeddings=True,
    )  # fmt: skip
    return MixtralForCausalLM(config)


def balancing_loss(router_logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of the balancing losses of the layers.

    ``router_aux_loss_coef`` of transformers adds one loss over all layers together, under which the imbalance of one layer can
    make up for that of another.
    """
    probs = torch.stack([logits.softmax(-1) for logits in router_logits], 1)
    return auxiliary_loss(probs.topk(K).indices, probs).sum()


def learn(model: Any, rows: torch.Tensor, *, aux_loss: float, minutes: float, steps: int, seed: int) -> list[float]:
    """Train until the steps are done or the time is over; the loss of each step, without that which balances."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)
    draw, until, losses = torch.Generator().manual_seed(seed), time.monotonic() + 60 * minutes, []
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20)
        some = rows[torch.randint(0, len(rows), (BATCH,), generator=draw)]
        output = model(input_ids=some, labels=some, use_cache=False, output_router_logits=aux_loss > 0)
        loss = output.loss
        optimizer.zero_grad()
        (loss + aux_loss * balancing_loss(output.router_logits) if aux_loss else loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % 50 == 0:
            print(f"step {step}: loss {losses[-1]:.3f}", file=sys.stderr, flush=True)
        if time.monotonic() > until:
            break
    model.eval()
    return losses


def measured(model: Any, held: dict[str, torch.Tensor]) -> tuple[Routing, list[str], float]:
    """The routing of rows that were not learned from, the kind of each of their bytes, and the loss on them."""
    # In a mixed order: kinds that follow one another in long runs could not be told from a drift of the routing.
    order = torch.randperm(len(KINDS) * HELD, generator=torch.Generator().manual_seed(0))
    some = torch.cat([held[kind] for kind in KINDS])[order]
    names = [KINDS[place // HELD] for place in order.tolist()]
    watch = RoutingWatch(model)
    with torch.no_grad(), watch:
        logits = model(input_ids=some, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), some[:, 1:].flatten())
    routing = watch.routing()
    assert routing is not None
    return routing, [name for name in names for _ in range(WIDTH)], float(loss)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, save, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("toy"), help="the folder that the model is saved in")
    parser.add_argument("--aux-loss", type=float, default=0.02, help="factor of the balancing loss (0: none)")
    parser.add_argument("--minutes", type=float, default=6, help="of training at most")
    parser.add_argument("--steps", type=int, default=1000, help="at most")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the order of the text, and the sums")
    options = parser.parse_args(arguments)
    every = {kind: rows_of(text) for kind, text in texts(options.seed).items()}
    held = {kind: rows[-HELD:] for kind, rows in every.items()}
    model = model_of(options.seed)
    began = time.monotonic()
    rows = torch.cat([rows[:-HELD] for rows in every.values()])
    limits = {"minutes": options.minutes, "steps": options.steps, "seed": options.seed}
    losses = learn(model, rows, aux_loss=options.aux_loss, **limits)
    routing, labels, loss = measured(model, held)
    seen, told, alarms = balance(routing), specialisation(routing, labels), collapse(routing)
    facts = {
        "aux_loss": options.aux_loss,
        "seed": options.seed,
        "steps": len(losses),
        "minutes": round((time.monotonic() - began) / 60, 2),
        "loss": round(loss, 4),
        "entropy": [round(one, 3) for one in seen.entropy.tolist()],
        "peak": [round(one, 2) for one in seen.peak.tolist()],
        "dead": seen.dead.tolist(),
        "balancing_loss": [round(one, 3) for one in seen.loss.tolist()],
        "bits_of_kind": [round(one, 3) for one in told.information.tolist()],
        "bits_by_chance": [round(one, 3) for one in told.by_chance.tolist()],
        "alarms": [str(alarm) for alarm in alarms],
        "mean_entropy": round(statistics.fmean(seen.entropy.tolist()), 3),
        "mean_peak": round(statistics.fmean(seen.peak.tolist()), 2),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(options.out)
    byte_tokenizer().save_pretrained(options.out)
    (options.out / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    balanced = f"balancing loss times {options.aux_loss}" if options.aux_loss else "no balancing loss"
    figure(options.out / "load.svg", f"Tokens for which each expert is chosen, {balanced}", routing)
    most = int(told.excess.argmax())
    kinds(options.out / "kinds.svg", f"Choices of layer {most}, by kind of text, {balanced}", told.shares[most])
    print(json.dumps(facts, indent=2))
    return 0


def figure(path: Path, title: str, routing: Routing) -> None:
    """Bars for each expert, one for each layer: the share of tokens for which it was chosen."""
    shares = routing.load / len(routing.token_ids)
    series = {f"layer {layer}": shares[layer].tolist() for layer in range(len(shares))}
    labels = [f"expert {expert}" for expert in range(shares.shape[1])]
    path.write_text(grouped_bars(title, labels, series), encoding="utf-8")


def kinds(path: Path, title: str, shares: torch.Tensor) -> None:
    """Bars for each expert, one for each kind of text ``[kinds, experts]``."""
    series = {kind: shares[place].tolist() for place, kind in enumerate(KINDS)}
    path.write_text(grouped_bars(title, [f"expert {e}" for e in range(shares.shape[1])], series), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
