"""The page of a routing: what is in it, how large it is, and that nothing of a text is taken for markup."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
import torch
from routing.made import random_logits, routing_of

from decodeplug import Host
from decodeplug.errors import BadOption
from decodeplug.routing import page, token_texts


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


def test_a_page_has_the_routing_in_it(host: Host) -> None:
    routing = host.generate("Once upon a time there was a bear </script>", inspectors=["moe-routing"], max_new_tokens=9)
    routing = routing.reports["moe-routing"]
    texts = token_texts(host.vocabulary, routing.token_ids.tolist())
    assert "".join(texts).startswith("Once upon a time there was a bear </script>")
    html = page(routing, texts, title="A <b>model</b>")
    assert html.count("</script>") == 2  # the data and the code; that of the text is escaped
    data = data_of(html)
    assert data["title"] == "A <b>model</b>"
    assert data["tokens"] == texts
    assert data["load"] == routing.load.tolist()
    experts = torch.frombuffer(bytearray(base64.b64decode(data["experts"])), dtype=torch.uint8).long()
    assert torch.equal(experts.view(routing.experts.shape), routing.experts)
    weights = torch.frombuffer(bytearray(base64.b64decode(data["weights"])), dtype=torch.uint8) / 255 * data["scale"]
    torch.testing.assert_close(
        weights.view(routing.weights.shape), routing.weights.float(), rtol=0, atol=data["scale"] / 500
    )
    assert set(data["kinds"]) == {"characters", "position"}
    assert "http" not in html.replace("http-equiv", "")


def test_two_thousand_tokens_of_many_experts_are_less_than_five_megabytes() -> None:
    routing = routing_of(random_logits(2000, layers=32, experts=64), k=8)
    html = page(routing, [f" token{place}" for place in range(2000)])
    assert len(html.encode()) < 5e6


def test_more_experts_than_a_byte_can_number() -> None:
    routing = routing_of(random_logits(40, layers=1, experts=300), k=2)
    data = data_of(page(routing, ["a"] * 40, labels={"mine": ["x", "y"] * 20}))
    experts = torch.frombuffer(bytearray(base64.b64decode(data["experts"])), dtype=torch.int16).long()
    assert torch.equal(experts.view(routing.experts.shape), routing.experts)
    assert data["kinds"]["mine"]["classes"] == ["x", "y"]


def test_few_tokens_say_nothing_of_specialisation() -> None:
    assert data_of(page(routing_of(random_logits(3)), ["a", "b", "c"]))["kinds"] == {}


def test_texts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadOption, match="one for each of the 3 tokens"):
        page(routing_of(random_logits(3)), ["a"])


def test_tokens_without_a_tokenizer_are_their_ids() -> None:
    assert token_texts(None, [5, 12]) == ["5 ", "12 "]


def test_a_notebook_shows_the_load() -> None:
    collapsed = random_logits(200, layers=2)
    collapsed[:, 1, :2] += 9
    html = routing_of(collapsed)._repr_html_()
    assert html.count("<tr>") == 2
    assert "dead" not in html.split("Alarms")[0]
    assert "layer 1" in html.split("Alarms")[1]
