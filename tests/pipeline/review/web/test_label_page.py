"""The labelling page in a real browser: what it shows as labelled is on the sheet."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from benchmarks.browser import Browser, browser, chromium
from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.review.web.app import App
from pipeline.review.web.desk import Desk
from pipeline.review.web.live import Live

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH (Debian: apt-get install chromium)")
LABELS = "last.then(() => sheet.items.map(one => one.label))"
SECONDS = 60.0


class Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


@pytest.fixture
def desk(run: Path) -> Desk:
    return Desk(Layout(run), None, 4)


@pytest.fixture
def tab(run: Path, desk: Desk) -> Iterator[Browser]:
    app = App(Live(Layout(run)), desk, "Ana", 0)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    app.port = server.port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with browser() as found:
        found.open(f"http://127.0.0.1:{server.port}/{app.token}/label")
        until = time.monotonic() + SECONDS
        while not found.value("sheet !== null") and time.monotonic() < until:
            time.sleep(0.05)
        yield found
    server.shutdown()


def press(tab: Browser, key: str, held: bool = False) -> None:
    event = f"new KeyboardEvent('keydown', {{key: '{key}', repeat: {str(held).lower()}, bubbles: true}})"
    tab.value(f"document.body.dispatchEvent({event})")


def on_sheet(desk: Desk) -> list[int | None]:
    return [one["label"] for one in desk.items()["items"]]


def test_keys_label_and_take_back_and_one_held_down_labels_one_patch(tab: Browser, desk: Desk) -> None:
    for held in (False, True, True):
        press(tab, "2", held)
    press(tab, "r")
    press(tab, "1")
    press(tab, "u")
    assert tab.value(LABELS) == [1, -1, None, None] == on_sheet(desk)


def test_a_label_that_is_not_written_is_not_shown_as_one(
    tab: Browser, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise ChainError("the disk is full", "no space", "make some", ExitCode.IO)

    with monkeypatch.context() as full:
        full.setattr(desk, "label", refused)
        press(tab, "1")
        assert tab.value(LABELS) == [None] * 4
        assert "is not written: error: the disk is full" in tab.value("at('said').textContent")
        assert tab.value("now") == 0, "it is asked about again"
    press(tab, "2")
    assert tab.value(LABELS) == [1, None, None, None] == on_sheet(desk)
