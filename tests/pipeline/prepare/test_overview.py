"""One page, whatever the names: nothing of them is markup, nothing is loaded, and it stays small."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare.overview import page, write_overview
from pipeline.prepare.rows import Row
from stages.prepare.previews import Previews

EVIL = [
    '"><img src=x onerror=alert(1)>',
    "</style></title><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "{{ 7 * 7 }}{% for x in () %}",
    "\x1b[2J\x00",
    "' onmouseover='alert(1)",
]


class Tags(HTMLParser):
    """Every tag with its attributes, and the text outside of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_facts_and_reasons_are_text_and_nothing_else() -> None:
    rows = [Row(f"u{i}", text, "failed", reason=text) for i, text in enumerate(EVIL)]
    rows += [Row(f"v{i}", text, "done", {text: text, "patches": 1}) for i, text in enumerate(EVIL)]
    plain = [Row(f"w{i}", "x", row.status, {"x": "x", "patches": 1} if row.good else {}) for i, row in enumerate(rows)]
    evil = Tags(page(EVIL[0], EVIL[1], rows, {"v0": b"\xff\xd8"}))
    kinds = {tag for tag, _ in Tags(page("t", "w", plain, {"w7": b"\xff\xd8"})).tags}
    assert {tag for tag, _ in evil.tags} == kinds
    assert not [name for _, attributes in evil.tags for name in attributes if name.startswith("on")]
    assert EVIL[0] in evil.text
    assert EVIL[4] in evil.text
    assert "\x1b" not in evil.text
    assert "\\x1b[2J" in evil.text


def test_the_page_loads_and_runs_nothing_and_its_policy_says_so() -> None:
    html = page("t", "w", [Row("a", "a", "done", {"patches": 3})], {"a": b"jpeg"})
    found = Tags(html)
    (policy,) = [attributes["content"] for tag, attributes in found.tags if "http-equiv" in attributes]
    style = re.search(r"<style>(.*?)</style>", html, flags=re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{digest}'" in policy
    assert not [tag for tag, _ in found.tags if tag in ("script", "link", "iframe", "object", "form")]
    sources = [attributes["src"] for tag, attributes in found.tags if tag == "img"]
    assert sources == ["data:image/jpeg;base64," + base64.b64encode(b"jpeg").decode()]
    assert "style=" not in html


@pytest.mark.parametrize("units", [1000, 3000, 12_000])
def test_a_page_of_thousands_of_slides_stays_below_20_mb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    # previews that use up all they may: that no real one is larger is a law of its own
    monkeypatch.setattr("stages.prepare.previews.preview", lambda path, budget: b"\xff" * budget)
    facts = {"patches": 1, "quarantined": 0} | {f"fact {i}": "some words about it" for i in range(12)}
    rows = [Row(f"u{i}", f"folder/slide_{i}.svs", "done", facts, 1.0) for i in range(units)]
    layout = PreparedLayout(tmp_path)
    write_overview(layout, "t", "w", rows, Previews(len(rows), 2))
    html = layout.overview.read_text()
    assert len(html) < 20e6
    assert units > 10_000 or html.count("data:image/jpeg;base64,") == units
    assert html.count("<tr") == units + 1
