"""The page of a routing in a real browser, from the file system: what is drawn, what can be done, and that nothing is fetched.

Run by ``make browser``, which wants Chromium installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from routing.made import random_logits, routing_of

from decodeplug import Host
from decodeplug.routing import page, token_texts
from decodeplug.testing import byte_tokenizer, tiny_model

pytestmark = pytest.mark.browser

SIZES = {"phone": (390, 844), "desk": (1280, 900)}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path is not None, "no Chromium is installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page that was opened from a file, and what it said and asked for."""

    def __init__(self, browser: Any, path: Path, size: str, theme: str) -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        self.page, self.said, self.asked = self.context.new_page(), list[str](), list[str]()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)

    def close(self) -> None:
        self.context.close()
        assert self.said == []
        assert self.asked == [self.url]

    def painted_ms(self) -> float:
        """When something was first drawn. It is asked for again and again: the page's policy lets no script wait for it."""
        painted = None
        while painted is None:
            self.page.wait_for_timeout(50)
            painted = self.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        return painted

    def background(self, selector: str) -> str:
        return self.page.eval_on_selector(selector, "node => getComputedStyle(node).backgroundColor")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompt = "The bear <b>walked</b> to the river & ate 12 salmon.\ndef eat(salmon):\n    return salmon - 1\n"
    with Host(
        tiny_model("mixtral", layers=4, num_experts=8, num_local_experts=8), byte_tokenizer(), plugins=[]
    ) as host:
        routing = host.generate(prompt, inspectors=["moe-routing"], max_new_tokens=40).reports["moe-routing"]
        texts = token_texts(host.vocabulary, routing.token_ids.tolist())
    path = tmp_path_factory.mktemp("page") / "small.html"
    path.write_text(page(routing, texts, title="Routing of a tiny model"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logits = random_logits(2000, layers=32, experts=64)
    logits[:, 5, :6] += 6  # one layer has collapsed
    words = ["The", " bear", " walked", " home", ".", "\n", " 42", " ("]
    path = tmp_path_factory.mktemp("page") / "large.html"
    texts = [words[place % len(words)] for place in range(2000)]
    path.write_text(page(routing_of(logits, k=6), texts, title="Routing of a large model"), encoding="utf-8")
    assert path.stat().st_size < 5e6
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("which", ["small", "large"])
def test_it_fits_and_asks_for_nothing(
    chromium: Any, request: pytest.FixtureRequest, which: str, size: str, theme: str, tmp_path: Path
) -> None:
    opened = Opened(chromium, request.getfixturevalue(which), size, theme)
    wide = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], "it has to be scrolled sideways"
    assert opened.page.evaluate("document.documentElement.dataset.theme") == theme
    assert opened.painted_ms() < 2000
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    opened.page.screenshot(path=str(folder / f"{which}-{size}-{theme}.png"), full_page=True)
    opened.close()


def test_another_layer_has_other_colours_and_other_loads(chromium: Any, small: Path) -> None:
    opened = Opened(chromium, small, "desk", "light")
    before = [opened.background(f"#text span[data-t='{place}']") for place in range(60)]
    bars = opened.page.inner_html("#bars")
    opened.page.fill("#layer", "2")
    assert opened.page.inner_text("#which") == "2"
    assert [opened.background(f"#text span[data-t='{place}']") for place in range(60)] != before
    assert opened.page.inner_html("#bars") != bars
    opened.page.select_option("#rank", "1")
    opened.page.click("#balance tr[data-layer='3']")
    assert opened.page.inner_text("#which") == "3"
    opened.close()


def test_an_expert_shows_its_tokens(chromium: Any, small: Path) -> None:
    opened = Opened(chromium, small, "desk", "light")
    opened.page.click("#legend button:nth-child(2)")
    assert opened.page.get_attribute("#legend button:nth-child(2)", "aria-pressed") == "true"
    shown = opened.page.evaluate("document.querySelectorAll('#text span.on').length")
    said = opened.page.get_attribute("#legend button:nth-child(2)", "title")
    assert said == f"expert 1: {shown} tokens"
    opened.page.click("#legend button:nth-child(2)")
    assert not opened.page.evaluate("document.getElementById('text').classList.contains('picked')")
    opened.close()


def test_a_token_says_its_experts_and_weights(chromium: Any, small: Path) -> None:
    opened = Opened(chromium, small, "phone", "dark")
    opened.page.hover("#text span[data-t='9']")
    said = opened.page.inner_text("#tip")
    assert '"<"' in said
    assert said.count("expert") == 2
    opened.page.focus("#text")
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    assert "position 1" in opened.page.inner_text("#said")
    assert opened.page.evaluate("document.querySelectorAll('#text b').length") == 0, (
        "markup of the text was taken for markup"
    )
    opened.close()


def test_the_theme_can_be_changed(chromium: Any, small: Path) -> None:
    opened = Opened(chromium, small, "desk", "light")
    light = opened.background("body")
    opened.page.click("#theme")
    assert opened.background("body") != light
    opened.close()


def test_collapse_and_specialisation_are_shown(chromium: Any, large: Path) -> None:
    opened = Opened(chromium, large, "desk", "light")
    assert "layer 5" in opened.page.inner_text("#alarms")
    assert "1 of 32 layers" in opened.page.inner_text("#alarms")
    for kind in ("characters", "position"):
        opened.page.select_option("#labels", kind)
        assert opened.page.inner_text("#kinds tbody tr")
        assert opened.page.inner_text("#shares tbody tr")
    opened.page.hover("#heat", position={"x": 20, "y": 20})
    assert "expert" in opened.page.inner_text("#tip")
    opened.page.click("#heat", position={"x": 20, "y": 2})
    assert opened.page.inner_text("#which") == "0"
    opened.close()
