"""A routing to look at: as one page that needs no server and no network, and as a table for notebooks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from decodeplug.errors import BadOption
from decodeplug.routing.alarm import collapse
from decodeplug.routing.measures import balance, repetition, repetition_by_chance
from decodeplug.routing.specialisation import character_classes, positions, specialisation

if TYPE_CHECKING:
    from decodeplug.routing.report import Routing

__all__ = ["page", "table", "token_texts"]

_FOR_INSIGHT = 32  # tokens below which nothing is said of specialisation


def token_texts(vocabulary: Any, token_ids: Sequence[int]) -> list[str]:
    """The text of each token as it stands in the whole; bytes of a character that is divided among tokens are shown as ``\\xe2``.

    :param vocabulary: ``host.vocabulary``; None for a host without tokenizer, then ids are shown.
    """
    if vocabulary is None:
        return [f"{token} " for token in token_ids]
    special: Mapping[int, str] = {token: f"<{token}>" for token in vocabulary.special_ids}
    return [
        special.get(token) or vocabulary.token_bytes(token).decode("utf-8", errors="backslashreplace")
        for token in token_ids
    ]


def page(
    routing: Routing,
    texts: Sequence[str],
    *,
    title: str = "Routing",
    labels: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """One static page: the text with each token coloured by its expert, loads, balance and alarms, specialisation.

    Nothing is loaded from anywhere, which the page's own policy forbids. 2,000 tokens of 32 layers with 64 experts are
    less than 5 MB.

    :param texts: The text of each token of the routing; see :func:`token_texts`.
    :param labels: Name of a way to class tokens -> the class of each token. Character classes and positions are always there.
    :raises BadOption: There are not as many texts or labels as tokens.
    """
    count = len(routing.token_ids)
    if len(texts) != count:
        raise BadOption("page", texts=len(texts), wanted=f"one for each of the {count} tokens")
    template = files("decodeplug.routing").joinpath("page.html").read_text(encoding="utf-8")
    ways = {"characters": character_classes(texts), "position": positions(count), **(labels or {})}
    data = json.dumps(_data(routing, texts, title, ways), ensure_ascii=False, separators=(",", ":"))
    return template.replace("__DATA__", data.replace("<", "\\u003c").replace("&", "\\u0026"))


def table(routing: Routing) -> str:
    """The load of each expert of each layer as an HTML table, for notebooks; full colour is three times the even share."""
    rows = []
    for index, count, load in zip(routing.layers, routing.counts, routing.load.tolist(), strict=True):
        total = max(1, sum(load))
        cells = "".join(
            f'<td title="expert {expert}: {number}" style="background:rgba(11,99,206,{min(1.0, number * count / total / 3):.2f})">{number}</td>'
            for expert, number in enumerate(load[:count])
        )
        rows.append(f"<tr><th>{index}</th>{cells}</tr>")
    alarms = "".join(f"<li>{escape(str(alarm))}</li>" for alarm in collapse(routing))
    said = f"<p>Alarms:</p><ul>{alarms}</ul>" if alarms else ""
    head = f"{len(routing.token_ids)} tokens, {routing.prompt_length} of them prompt; load by layer and expert"
    return f"<p>{head}</p><table>{''.join(rows)}</table>{said}"


def _data(routing: Routing, texts: Sequence[str], title: str, ways: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    most, k = max(routing.counts), routing.experts.shape[-1]
    wide = most >= 255
    kind = torch.uint16 if wide else torch.uint8
    experts = torch.where(routing.experts < 0, 65535 if wide else 255, routing.experts).to(kind)
    scale = float(routing.weights.max()) if routing.weights.numel() else 1.0
    weights = (routing.weights / max(scale, 1e-12) * 255).round().clamp(0, 255).to(torch.uint8)
    sizes = sorted(set(routing.counts))
    many = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    about = f"{len(texts):,} tokens, {routing.prompt_length:,} of them prompt; {len(routing.layers)} layers of {many} experts, {k} for each token"
    count = len(texts)
    return {
        "title": title,
        "about": about,
        "tokens": list(texts),
        "prompt": routing.prompt_length,
        "layers": list(routing.layers),
        "counts": list(routing.counts),
        "k": k,
        "wide": wide,
        "experts": _base64(experts),
        "weights": _base64(weights),
        "scale": scale,
        "load": routing.load.tolist(),
        "balance": _balance(routing),
        "alarms": [
            {"layer": alarm.layer, "sign": alarm.sign, "text": str(alarm)}
            for alarm in (collapse(routing) if count else ())
        ],
        "kinds": {name: _kind(routing, given) for name, given in ways.items()} if count >= _FOR_INSIGHT else {},
    }


def _balance(routing: Routing) -> list[dict[str, float | int | None]]:
    seen = balance(routing)
    same, _ = repetition(routing.experts)
    return [
        {
            "entropy": _finite(seen.entropy[layer]),
            "peak": _finite(seen.peak[layer]),
            "variation": _finite(seen.variation[layer]),
            "dead": int(seen.dead[layer]),
            "loss": _finite(seen.loss[layer]),
            "repetition": _finite(same[layer]),
            "chance": repetition_by_chance(count, min(routing.experts.shape[-1], count))[0],
        }
        for layer, count in enumerate(routing.counts)
    ]


def _kind(routing: Routing, labels: Sequence[str]) -> dict[str, Any]:
    found = specialisation(routing, labels).to_dict()
    found["shares"] = [[[round(one, 3) for one in row] for row in layer] for layer in found["shares"]]
    return found


def _finite(value: Tensor) -> float | None:
    return float(value) if bool(torch.isfinite(value)) else None


def _base64(numbers: Tensor) -> str:
    return base64.b64encode(numbers.contiguous().numpy().tobytes()).decode("ascii")
