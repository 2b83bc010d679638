"""The page in a real browser: nothing complains, nothing runs, every picture is there, at any width and on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.browser import Browser, browser, chromium
from pipeline.directory.layout import Layout

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH (Debian: apt-get install chromium)")
MISSING = """
Promise.all([...document.querySelectorAll('img, image')].map(one => one.decode().then(() => 0, () => 1)))
  .then(found => found.reduce((sum, one) => sum + one, 0))
"""
SEEN = "document.querySelector('#round-0 table').checkVisibility({contentVisibilityAuto: true})"
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))"


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(params=["slides", "volume"])
def any_page(request: pytest.FixtureRequest, slides_run: Layout, volume_run: Layout) -> Path:
    return (slides_run if request.param == "slides" else volume_run).root / "report.html"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_complains_and_every_picture_is_loaded(tab: Browser, any_page: Path, width: int, dark: bool) -> None:
    tab.open(any_page, width, dark=dark)
    tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.value("document.querySelectorAll('img, image').length") > 10
    assert tab.value(MISSING) == 0
    assert tab.console == []
    assert tab.value("document.documentElement.scrollWidth") <= width, "the page itself never scrolls sideways"
    assert (
        tab.value("performance.getEntriesByType('resource').filter(one => !one.name.startsWith('data:')).length") == 0
    )


def test_no_name_became_an_element_or_a_script(tab: Browser, page: Path) -> None:
    tab.open(page)
    assert tab.value("document.scripts.length + document.querySelectorAll('b, iframe, object, form').length") == 0
    assert tab.value("[...document.images].filter(one => !one.dataset.patch).length") == 0
    tab.value("document.querySelectorAll('a').forEach(one => one.click())")
    assert tab.console == []


def test_the_policy_lets_nothing_run_even_if_something_got_in(tab: Browser, page: Path, tmp_path: Path) -> None:
    html = page.read_text(encoding="utf-8")
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(html.replace("</main>", "<script>document.title = 'run'</script></main>"), encoding="utf-8")
    tab.open(spoilt)
    assert tab.value("document.title") != "run"
    assert any("Content Security Policy" in text for text in tab.console)


def test_it_can_be_walked_by_keyboard(tab: Browser, page: Path) -> None:
    tab.open(page)
    reached = set()
    for _ in range(12):
        for kind in ("keyDown", "keyUp"):
            tab.ask("Input.dispatchKeyEvent", {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9})
        reached.add(tab.value("document.activeElement.tagName"))
    assert {"A", "SUMMARY", "DIV"} <= reached, "links, foldings and the tables that scroll"


def test_on_paper_everything_is_unfolded(tab: Browser, page: Path) -> None:
    tab.open(page)
    assert tab.value(SEEN) is False
    tab.ask("Emulation.setEmulatedMedia", {"media": "print"})
    tab.value(DRAWN)
    assert tab.value(SEEN) is True
    tab.ask("Emulation.setEmulatedMedia", {"media": ""})
