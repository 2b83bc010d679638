"""The page: figures are those of inspect, names are text, pictures are the patches they claim to be."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

import run_chain
from benchmarks.fake_run import Shape, fake_run
from data.errors import ChainError, ExitCode
from data.splits.written import LABELLED, TEST, VALIDATION
from data.store.patch_store import PatchStore
from pipeline.directory.layout import Layout
from pipeline.report.build import Options, build_page, write_report
from pipeline.report.facts import resolved, shown
from tests.pipeline.report.conftest import EVIL


class Page(HTMLParser):
    """Tags with attributes, text, and the text of every figure by its pointer."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.facts: list[tuple[str, str, str]] = []
        self.text = ""
        self._fact: tuple[str, str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.tags.append((tag, own))
        if "data-fact" in own:
            self._fact = (str(own["data-fact"]), str(own["data-kind"]))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._fact is not None:
            self.facts.append((*self._fact, data))
            self._fact = None


@pytest.fixture(scope="module")
def seen(page: Path) -> Page:
    return Page(page.read_text(encoding="utf-8"))


def test_every_figure_of_inspect_is_the_one_that_inspect_prints(
    slides_run: Layout, seen: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_chain.main(["inspect", str(slides_run.root), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(seen.facts) > 150
    for pointer, kind, text in seen.facts:
        assert text == shown(resolved(document, pointer), kind), pointer
    for number in range(3):
        for k in range(4):
            for path in ("predicted", "kept", "churn", "audit/precision", "audit/recall"):
                assert f"/rounds/{number}/quality/per_class/{k}/{path}" in {pointer for pointer, _, _ in seen.facts}
    kept = document["rounds"][2]["quality"]["total"]["kept"]
    assert f"{kept:,}" in {text for pointer, _, text in seen.facts if pointer == "/rounds/2/quality/total/kept"}


def test_pictures_in_galleries_are_the_patches_whose_ids_stand_below(slides_run: Layout, seen: Page) -> None:
    store = PatchStore(slides_run.place("data/store") / "patches.h5")
    shown_at = [(own["data-patch"], own["src"]) for tag, own in seen.tags if tag == "img" and "data-patch" in own]
    assert len(shown_at) > 150
    codes = seen.text
    for patch, source in shown_at:
        assert patch is not None
        assert source is not None
        assert patch in codes
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(source.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        (row,) = store.rows(np.array([int(patch, 16)], np.uint64))
        np.testing.assert_array_equal(picture[:, :, ::-1], store.pixels(int(row)))


def test_names_of_strangers_are_text_and_nothing_else(slides_run: Layout, seen: Page) -> None:
    structure = (
        "html head meta title style body a nav main h1 h2 h3 p div span strong small code br ul ol li i dl dt dd"
    )
    rest = "figure figcaption table caption thead tbody tr th td details summary img svg defs image use path text"
    allowed = {*structure.split(), *rest.split(), "rect", "circle"}
    assert {tag for tag, _ in seen.tags} <= allowed
    for _, own in seen.tags:
        assert not [name for name in own if name.startswith("on") or name in ("style", "srcdoc", "action")]
        for name in ("href", "src"):
            assert re.match(r"#[a-z]+(-?\d+)?$|data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+$", own.get(name) or "#a")
    for name in (EVIL[0], EVIL[1][:40], EVIL[2], EVIL[4], "\\x1b[2J", "\\x202egnp"):
        assert name in seen.text, name
    html = (slides_run.root / "report.html").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", html)


def test_the_page_loads_and_runs_nothing_and_its_policy_says_so(seen: Page) -> None:
    (policy,) = [own["content"] for tag, own in seen.tags if "http-equiv" in own]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not [tag for tag, _ in seen.tags if tag in ("script", "link", "iframe", "object", "form", "base")]


def test_whoever_does_not_see_is_told(seen: Page) -> None:
    assert all(own.get("alt") for tag, own in seen.tags if tag == "img")
    assert all(own.get("aria-label") or own.get("aria-hidden") for tag, own in seen.tags if tag == "svg")
    assert len([tag for tag, _ in seen.tags if tag == "table"]) == len(
        [tag for tag, _ in seen.tags if tag == "caption"]
    )
    assert all(own.get("scope") for tag, own in seen.tags if tag == "th")
    ids = [own["id"] for _, own in seen.tags if "id" in own]
    assert len(ids) == len(set(ids))
    targets = {str(own["href"])[1:] for tag, own in seen.tags if tag in ("a", "use")}
    assert targets <= set(ids)


def test_the_same_run_gives_the_same_page(slides_run: Layout, page: Path, tmp_path: Path) -> None:
    again = tmp_path / "report.html"
    write_report(slides_run, again, Options(embed=200))
    assert again.read_bytes() == page.read_bytes()
    for path in (slides_run.root / "report").rglob("*"):
        if path.is_file():
            assert (
                tmp_path / "report" / path.relative_to(slides_run.root / "report")
            ).read_bytes() == path.read_bytes()


def test_of_ct_every_window_is_shown_and_every_volume_has_its_sheets(volume_run: Layout) -> None:
    found = Page((volume_run.root / "report.html").read_text(encoding="utf-8"))
    sources = [own["src"] for tag, own in found.tags if tag == "img" and "data-patch" in own]
    assert sources
    for source in sources:
        assert source is not None
        image = cv2.imdecode(np.frombuffer(base64.b64decode(source.partition(",")[2]), np.uint8), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert image.shape == (16, 32)
    assert len([tag for tag, _ in found.tags if tag == "image"]) == 4
    assert "axial, at 0, 5, 10" in found.text
    assert not (volume_run.root / "report" / "geojson").exists()


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("rounds: 2\n")
    html = build_page(Layout(tmp_path))
    assert "Nothing to show yet" in html
    assert "Not ended yet" in html


def test_a_temperature_that_labels_say_is_not_shown_as_fitted_on_validation(
    slides_run: Layout, seen: Page, tmp_path: Path
) -> None:
    fitted, told = ("before and after temperature", "of validation")
    before = seen.text.count(fitted), seen.text.count(told)
    run = Layout(Path(shutil.copytree(slides_run.root, tmp_path / "run")))
    path = run.place("rounds/02/select") / "quality.json"
    quality = json.loads(path.read_text())
    assert quality["calibration"] is not None
    more = {"temperatures": [1.0] * len(quality["classes"]), "told": {"labels": 34, "accuracy": 0.84, "per_class": []}}
    path.write_text(json.dumps(quality | more))
    page = Page(build_page(run, Options(embed=0)))
    assert (page.text.count(fitted), page.text.count(told)) == (before[0] - 1, before[1] + 1)
    shown = {pointer for pointer, _, _ in page.facts}
    assert "/rounds/2/quality/temperature" not in shown
    assert {"/rounds/2/quality/calibration/ece_after", "/rounds/2/quality/told/accuracy"} <= shown


def test_how_much_the_encoder_counts_is_shown_where_one_stands_beside_the_teacher(
    slides_run: Layout, seen: Page, tmp_path: Path
) -> None:
    pointer = "/rounds/1/quality/encoder/weight"
    assert pointer not in {at for at, _, _ in seen.facts}
    run = Layout(Path(shutil.copytree(slides_run.root, tmp_path / "run")))
    path = run.place("rounds/01/select") / "quality.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"encoder": {"kappa": 0.15, "weight": 0.25}}))
    page = Page(build_page(run, Options(embed=0)))
    assert {at: text for at, _, text in page.facts}[pointer] == "25.0 %"


def test_a_chain_half_way_has_a_page_of_what_stands(slides_run: Layout, tmp_path: Path) -> None:
    half = Layout(tmp_path)
    (tmp_path / "config.yaml").write_bytes(slides_run.config.read_bytes())
    for address in ("data", "rounds/00"):
        (half.place(address).parent).mkdir(exist_ok=True)
        half.place(address).symlink_to(slides_run.place(address))
    found = Page(build_page(half, Options(embed=0)))
    assert "Not ended yet" in found.text
    assert "labels only" in found.text
    assert "after round 0" in found.text
    assert [own["id"] for tag, own in found.tags if str(own.get("id")).startswith("round-")] == ["round-0"]


@pytest.mark.parametrize(("pool", "rounds"), [(0, 1), (30, 0)])
def test_a_chain_with_an_empty_pool_or_without_rounds_has_a_page(pool: int, rounds: int, tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", Shape(pool, {LABELLED: 12, VALIDATION: 6, TEST: 6}, slides=3, rounds=rounds))
    found = Page(build_page(run, Options(embed=20)))
    assert "map" in {own.get("id") for _, own in found.tags}
    assert ("Class: given, else predicted" in found.text) == (rounds > 0)


def test_what_is_wrong_is_said_by_name(slides_run: Layout, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="not a run directory") as caught:
        write_report(Layout(tmp_path))
    assert caught.value.code == ExitCode.MISSING
    (tmp_path / "folder.d").mkdir()
    for page, what in (("page", "has no ending"), ("folder.d", "is a directory"), (".", "is a directory")):
        with pytest.raises(ChainError, match=what) as caught:
            write_report(slides_run, tmp_path / page if page != "." else Path(page))
        assert caught.value.code == ExitCode.USAGE
    (tmp_path / "page").write_text("in the way")
    with pytest.raises(ChainError, match="cannot be made") as caught:
        write_report(slides_run, tmp_path / "page.html", Options(embed=0))
    assert caught.value.code == ExitCode.NOT_WRITABLE


def test_a_run_on_all_labels_that_is_not_finished_is_refused_by_name(volume_run: Layout, tmp_path: Path) -> None:
    other = Layout(Path(shutil.copytree(volume_run.root, tmp_path / "other")))
    shutil.rmtree(other.place("final"))
    with pytest.raises(ChainError, match="not finished") as caught:
        write_report(volume_run, tmp_path / "page.html", Options(embed=0, all_labels=other.root))
    assert str(other.root) in caught.value.what
    assert caught.value.code == ExitCode.MISSING
    assert not (tmp_path / "page.html").exists()


def test_the_verb_writes_the_page_and_the_logs(
    volume_run: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seen.html"
    words = ["report", str(volume_run.root), "--out", str(out), "--embed", "0", "--all-labels", str(volume_run.root)]
    assert run_chain.main([*words, "--logger", "tensorboard"]) == 0
    assert str(out) in capsys.readouterr().out
    assert "all labels" in out.read_text(encoding="utf-8")
    logged = list(volume_run.logs.glob("rounds-log/csv/*/metrics.csv"))
    assert len(logged) == 1
    assert "pool/kept" in logged[0].read_text()
