"""The laws of a drafter: it proposes no more than it may, changes nothing, and never the text."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from decodeplug.testing.claim import claim, declared_name
from decodeplug.values import Draft, LaneView, Opening, Record

__all__ = ["check_drafter", "check_drafter_changes_nothing", "lane_views"]

ROOMS = (0, 1, 2, 5, 16)


def lane_views(*, vocab: int = 64, seed: int = 0) -> list[LaneView]:
    """Lanes that a drafter may meet: short, long, repeating, all prompt, and with a record behind them."""
    chance = random.Random(seed)

    def ids(count: int, of: int = vocab) -> list[int]:
        return [chance.randrange(of) for _ in range(count)]

    phrase = ids(6)
    return [
        LaneView(ids(1), 1),
        LaneView(ids(12), 12),
        LaneView(ids(40), 5),
        LaneView(ids(60, of=3), 20),
        LaneView([*phrase, *ids(9), *phrase[:4]], 15),
        LaneView(phrase * 5, 6, records={"lookup": Record(drafted=12, kept=9)}),
        LaneView([*ids(30), *phrase, *ids(3), *phrase], 36, cost=lambda width: 1 + 0.1 * (width - 1), seed=(7, 1)),
    ]


def check_drafter(
    drafter: Any, lanes: Iterable[LaneView] | None = None, *, vocab: int = 64, rooms: Sequence[int] = ROOMS
) -> None:
    """Check that a drafter keeps its contract (``decodeplug.contracts.Drafter``).

    Whether its drafts leave the text alone is asked by :func:`check_drafter_changes_nothing`. One that has
    ``open`` is checked opened as well, in lanes that are cut back, grow and are forked.

    :param lanes: Lanes to draft for, ``lane_views(vocab=vocab)`` if not given. A drafter that needs a
        constraint gets lanes that have one.
    :param vocab: Width of the model's logits.
    :param rooms: How many tokens it may propose, in turn; 0 belongs to it.
    :raises AssertionError: A law is broken; the message says which, and in which lane.
    """
    name = declared_name(drafter)
    prior = getattr(drafter, "prior", None)
    claim(
        isinstance(prior, int | float) and 0 <= prior <= 1, f"drafter {name}: prior is {prior!r}, not a share in [0, 1]"
    )
    views = lane_views(vocab=vocab) if lanes is None else list(lanes)
    calls = [(index, lane, room) for index, lane in enumerate(views) for room in rooms]
    first = [
        _checked_draft(drafter, f"drafter {name} in lane {index}", lane, room, vocab) for index, lane, room in calls
    ]
    # Backwards, so that a drafter which remembers another lane is found out.
    for (index, lane, room), before in reversed(list(zip(calls, first, strict=True))):
        again = drafter.draft(lane, room)
        claim(
            again.tokens == before.tokens,
            f"drafter {name} in lane {index} with room {room} drafted {before.tokens}, and another time {again.tokens}",
        )
    if hasattr(drafter, "open"):
        for index, lane, room in calls:
            _check_memory(drafter, f"drafter {name} in lane {index}", lane, room, vocab)


def _check_memory(drafter: Any, who: str, lane: LaneView, room: int, vocab: int) -> None:
    """Whatever an opened drafter was asked before, it says what one says that was just opened."""
    ids, prompt = list(lane.ids), lane.prompt_length
    half = (prompt + len(ids)) // 2
    texts = [ids]
    if lane.constraint is None and lane.hidden is None:  # else the state belongs to these ids
        texts += [ids[:half], [*ids, *ids[:3]], [*ids[:half], *ids[:5]], ids]
    request = Opening(tuple(ids[:prompt]), ((*ids[prompt:], *ids[:prompt]),))
    opened = drafter.open(request)
    for turn, text in enumerate(texts):
        asked = replace(lane, ids=text, seed=(lane.seed[0], turn % 2))
        remembered = _checked_draft(opened, f"{who}, opened", asked, room, vocab).tokens
        fresh = drafter.open(request).draft(asked, room).tokens
        claim(
            remembered == fresh,
            f"{who}, opened, drafted {remembered} after other lanes of its request, and {fresh} before",
        )


def _checked_draft(drafter: Any, who: str, lane: LaneView, room: int, vocab: int) -> Draft:
    ids, records = list(lane.ids), copy.deepcopy(dict(lane.records))
    draft = drafter.draft(lane, room)
    claim(isinstance(draft, Draft), f"{who} returned {type(draft).__name__}, not a Draft")
    claim(list(lane.ids) == ids, f"{who} modified the ids of the lane")
    claim(dict(lane.records) == records, f"{who} modified the records of the lane")
    claim(len(draft.tokens) <= room, f"{who} drafted {len(draft.tokens)} tokens where there was room for {room}")
    claim(
        len(draft.sources) == len(draft.tokens) and all(isinstance(source, str) for source in draft.sources),
        f"{who} names {len(draft.sources)} sources for {len(draft.tokens)} tokens",
    )
    for token in draft.tokens:
        claim(type(token) is int and 0 <= token < vocab, f"{who} drafted {token!r}, which is no id below {vocab}")
    sure = [confidence for confidence in draft.confidence if confidence is not None]
    claim(
        len(draft.confidence) in (0, len(draft.tokens)) and all(0 <= confidence <= 1 for confidence in sure),
        f"{who} is sure of its {len(draft.tokens)} tokens by {draft.confidence}, not by a share in [0, 1] for each",
    )
    if draft.probabilities:
        _check_probabilities(who, draft, vocab)
    return draft


def _check_probabilities(who: str, draft: Draft, vocab: int) -> None:
    """The distribution that each token was drawn from, as rejection sampling needs it."""
    laws = draft.probabilities
    claim(len(laws) == len(draft), f"{who}: {len(laws)} distributions for {len(draft)} tokens")
    for index, (token, law) in enumerate(zip(draft.tokens, laws, strict=True)):
        if law is None:
            continue
        claim(
            list(law.shape) == [vocab], f"{who}: the distribution of token {index} is {list(law.shape)}, not [{vocab}]"
        )
        total = float(law.sum())
        claim(abs(total - 1) < 1e-3, f"{who}: the probabilities of token {index} sum to {total:.4f}")
        claim(bool((law >= 0).all()), f"{who}: a probability of token {index} is negative")
        claim(float(law[token]) > 0, f"{who}: token {token} cannot have been drawn: its probability is 0")


def check_drafter_changes_nothing(
    host: Any,
    drafter: Any | Callable[[], Any],
    prompts: Sequence[Any] = ("The bear ", "a b a b a b a", "{"),
    *,
    max_new_tokens: int = 40,
    seeds: Sequence[int] = (0, 1, 2),
    **options: Any,
) -> None:
    """Check that a drafter changes the speed and never the text, greedy and seeded.

    :param host: A ``decodeplug.Host``, best around a ``tiny_model`` in float64: in half precision
        the width of a forward changes the logits.
    :param drafter: A drafter, the name of one, or a class or function that makes one.
    :param prompts: What to continue; texts or token ids.
    :param options: Further options of ``host.generate`` for both runs, for example a constraint.
    :raises AssertionError: The ids differ; the message says for which prompt and where.
    """
    for prompt in prompts:
        for seed in (None, *seeds):
            sampling = {} if seed is None else {"do_sample": True, "seed": seed}
            given = {"max_new_tokens": max_new_tokens, **options, **sampling}
            plain = list(host.generate(prompt, drafters=[], **given).token_ids)
            part = drafter() if callable(drafter) else drafter
            drafted = list(host.generate(prompt, drafters=[part], **given).token_ids)
            same = next((at for at, pair in enumerate(zip(plain, drafted, strict=False)) if pair[0] != pair[1]), None)
            where = f"from token {same} on" if same is not None else f"{len(drafted)} tokens instead of {len(plain)}"
            how = "greedy" if seed is None else f"sampled with seed {seed}"
            claim(plain == drafted, f"the drafter changes the text of {prompt!r}, {how}: {where}")
