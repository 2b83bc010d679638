"""`serve`: only this page, on this computer, with the token; what is labelled there is what `review import` takes."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from werkzeug.test import Client

import run_chain
from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.review.web import pages
from pipeline.review.web.app import ASSETS, MOST_BYTES, App
from pipeline.review.web.desk import Desk
from pipeline.review.web.live import Live
from pipeline.review.web.server import serve

PORT = 8123
HERE = f"http://127.0.0.1:{PORT}"
ROOT = Path(__file__).parents[4]


class Page:
    """What a browser with the address does."""

    def __init__(self, run: Path, n: int = 6, number: int | None = None) -> None:
        self.app = App(Live(Layout(run)), Desk(Layout(run), number, n), "Ana", PORT)
        self.client = Client(self.app)

    def get(self, place: str, **more: Any) -> Any:
        return self.client.get(f"/{self.app.token}/{place}", base_url=HERE, **more)

    def post(self, place: str, said: Any, **headers: str) -> Any:
        about = {"Origin": HERE, "Content-Type": "application/json"} | headers
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self.client.post(f"/{self.app.token}/{place}", base_url=HERE, data=content, headers=about)


@pytest.fixture
def page(run: Path) -> Page:
    return Page(run)


def test_nothing_is_answered_without_the_token(page: Page) -> None:
    for path in ("/", "/items", "/label", "/x/items", f"/{page.app.token[:-1]}/items", f"/{page.app.token}x/items"):
        answer = page.client.get(path, base_url=HERE)
        assert (answer.status_code, answer.text) == (404, "not found"), path
    assert len(page.app.token) >= 40
    assert App(page.app.live, page.app.desk, "", PORT).token != page.app.token


@pytest.mark.parametrize(
    "host", ["evil.example:8123", "127.0.0.1:9999", "127.0.0.1", "", "127.0.0.1:8123.evil.example"]
)
def test_another_host_name_is_not_answered(page: Page, host: str) -> None:
    for place in ("", "items", "style.css"):
        answer = page.get(place, headers={"Host": host})
        assert answer.status_code == 421, place
        assert page.app.token not in answer.text


def test_only_this_page_may_change_anything(page: Page, run: Path) -> None:
    one = page.get("items").json["items"][0]["id"]
    said = {"id": one, "code": 0}
    assert page.post("label", said, Origin="http://evil.example").status_code == 403
    assert page.post("label", said, Origin="null").status_code == 403
    assert page.post("label", said, **{"Content-Type": "text/plain"}).status_code == 415
    assert page.post("label", b"x" * (MOST_BYTES + 1)).status_code == 413
    for wrong in (b"{", b"[]", {"id": one}, {"id": one, "code": "0"}, {"id": 3, "code": 0}, {"id": one, "code": True}):
        assert page.post("label", wrong).status_code == 400
    for wrong in ({"id": "../review.csv", "code": 0}, {"id": one, "code": 99}, {"id": one, "code": -2}):
        assert page.post("label", wrong).status_code == 409
    assert page.get("label?x").status_code == 200
    assert page.get("save").status_code == page.client.put(f"/{page.app.token}/label", base_url=HERE).status_code == 404
    assert {item["label"] for item in page.get("items").json["items"]} == {None}
    assert not (run / "reviews").exists()


def test_every_answer_has_a_strict_policy_and_pages_run_our_script_alone(page: Page) -> None:
    page.get("items")
    for place in ("", "label", "items", "state", "nothing", *ASSETS):
        headers = page.get(place).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
    for place in ("", "label"):
        html = page.get(place).text
        assert not re.search(r"<script(?! src=\")|\son\w+=|style=|https?://", html)
    for script in (pages.LIVE_SCRIPT, pages.LABEL_SCRIPT):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|https?:", script)


def test_a_patch_is_shown_only_while_it_is_asked_about(page: Page, run: Path) -> None:
    assert page.get("patch/0123456789abcdef.png").status_code == 404
    item = page.get("items").json["items"][0]
    answer = page.get(f"patch/{item['id']}.png")
    assert answer.mimetype == "image/png"
    assert answer.data == next((run / "exports").glob(f"*/images/{item['id']}.png")).read_bytes()
    for place in ("patch/../../config.yaml", "patch/..%2f..%2fconfig.yaml", "patch/", "patch/review.csv"):
        assert page.get(place).status_code == 404


def test_what_is_labelled_is_on_disk_at_once_and_is_handed_over_by_import(page: Page, run: Path) -> None:
    sheet = page.get("items").json
    ids = [item["id"] for item in sheet["items"]]
    for one, code in zip(ids, (0, 2, -1, 1), strict=False):
        assert page.post("label", {"id": one, "code": code}).status_code == 200
    page.post("label", {"id": ids[3], "code": None})  # taken back
    other = Page(run)  # the program was ended, and started again
    assert [item["label"] for item in other.get("items").json["items"][:5]] == [0, 2, -1, None, None]
    dry = other.post("save", {"by": "Ana", "dry": True})
    assert dry.json["lines"][0].startswith("dry run")
    assert not (run / "reviews").exists()
    refused = other.post("save", {"by": " ", "dry": False})
    assert refused.status_code == 409
    assert "no name" in refused.json["error"][0]
    assert other.post("save", {"by": "Ana", "dry": False}).json["lines"][0].startswith("reviews/0000: 3 patches")
    found = pd.read_parquet(run / "reviews/0000/labels.parquet")
    classes = sheet["classes"]
    said = {f"{int(one):016x}": label for one, label in zip(found["id"], found["label"], strict=True)}
    assert {one: label for one, label in said.items() if one != ids[2]} == {ids[0]: classes[0], ids[1]: classes[2]}
    assert pd.isna(said[ids[2]])
    following = {item["id"] for item in other.get("items").json["items"]}
    assert len(following) == 6
    assert not following & set(said)
    assert other.post("save", {"by": "Ana", "dry": False}).status_code == 409


def test_the_report_is_written_anew_when_something_is_finished(page: Page, run: Path, monkeypatch: Any) -> None:
    from pipeline.report import build

    made: list[int] = []
    monkeypatch.setattr(build, "build_page", lambda layout, options: made.append(options.embed) or f"page {len(made)}")
    monkeypatch.setattr("pipeline.review.web.live.PAUSE_S", 0.0)

    def settled() -> dict[str, Any]:
        page.get("state")
        thread = page.app.live._thread
        if thread is not None:
            thread.join(10)
        return dict(page.get("state").json)

    assert page.get("report").status_code == 404
    first = settled()
    assert "final" in "".join(first["status"])
    answer = page.get("report")
    assert answer.text == "page 1"
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert settled()["report"] == first["report"]
    (run / "final").rename(run / "elsewhere")  # a chain that goes on: no network is asked beside it
    assert settled()["report"] != first["report"]
    assert page.get("report").text == "page 2"
    assert made[1] == 0 < made[0]
    (run / "elsewhere").rename(run / "final")
    settled()
    again = ["rerun", str(run), "--from", "rounds/01/student", "--threads", "1", "--quiet"]
    assert run_chain.main(again) == 0
    settled()
    assert page.get("report").text == "page 4", "the same steps stand, and they are others"


def test_what_nobody_foresaw_is_three_lines_and_in_the_log(page: Page, run: Path, monkeypatch: Any) -> None:
    def items(self: Desk) -> None:
        raise ValueError("a class \x1b[2J, \u202ename")

    monkeypatch.setattr(Desk, "items", items)
    answer = page.get("items")
    assert answer.status_code == 500
    assert len(answer.json["error"]) == 3
    log = (run / "logs/error.log").read_text()
    assert "ValueError" in log
    assert all(line.isprintable() for line in log.splitlines())


def test_a_run_without_a_selection_says_so_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("rounds: 1\n")
    answer = Page(tmp_path).get("items")
    assert answer.status_code == 409
    assert "error: " in answer.json["error"][0]


def test_hostile_names_are_escaped_on_the_page(run: Path) -> None:
    hostile = run.parent / '"><img onerror=alert(1)>\u202e'
    run.rename(hostile)
    page = Page(hostile)
    page.app.by = '"><script>alert(1)</script>'
    for place in ("", "label"):
        html = page.get(place).text
        assert "<img onerror" not in html
        assert "<script>alert" not in html
        assert "\u202e" not in html
    assert "\u202e" not in page.get("items").text


def test_without_the_library_it_says_what_to_install(run: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "werkzeug.serving", None)
    with pytest.raises(ChainError) as caught:
        serve(Layout(run), 0, None, 5, "informative", "", print)
    assert "patchchain[serve]" in caught.value.todo


def test_it_listens_on_this_computer_alone_and_ends_with_ctrl_c(run: Path) -> None:
    words = [sys.executable, str(ROOT / "run_chain.py"), "serve", str(run), "--n", "4"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/[\w-]{40,}/", address)
        assert match
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert b"label patches" in answer.read()
        listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
        port = f":{int(match[1]):04X} 00000000:0000 0A"
        assert not listening or f"0100007F{port}" in listening
        with pytest.raises(ChainError) as caught:
            serve(Layout(run), int(match[1]), None, 5, "informative", "", print)
        assert caught.value.code == ExitCode.IN_USE
        process.send_signal(2)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "ended" in out
        assert err == "", "no address, and so no token, in a log"
    finally:
        process.kill()
        process.wait()
