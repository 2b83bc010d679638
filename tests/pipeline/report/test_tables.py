"""The files beside the page: every round that is shown has its GeoJSON, and nothing of an earlier report is left."""

from pathlib import Path

import pytest

from pipeline.directory.layout import Layout
from pipeline.report import tables
from pipeline.report.build import MOST_ROUNDS, Options, gathered
from pipeline.report.tables import write_tables


def written(run: Layout, folder: Path, shown: list[int]) -> set[str]:
    """Names of the GeoJSON folders that the page is told of, which are those that stand."""
    folder.mkdir(exist_ok=True)
    found = gathered(run, Options(embed=0))
    files = write_tables(found.run, found.verdict, None, found.suspects, found.places, found.last, shown, folder)
    told = {name.strip("/").rpartition("/")[2] for name, _ in files if name.startswith("geojson/")}
    assert told == {path.name for path in (folder / "geojson").iterdir()}
    return told


def test_each_round_shown_has_its_geojson_and_what_was_there_before_goes(
    slides_run: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "report"
    assert written(slides_run, folder, [0, 1, 2]) == {"round-00", "round-01", "round-02"}
    slide = next((folder / "geojson" / "round-02").iterdir())
    (stale := slide.with_name("gone.geojson")).write_text("{}")
    assert written(slides_run, folder, [0, 2]) == {"round-00", "round-02"}
    assert not stale.exists()
    monkeypatch.setattr(tables, "MOST_FEATURES", 1)
    assert written(slides_run, folder, [0, 2]) == {"round-02"}, "the newest is always whole"


def test_a_table_of_an_earlier_report_that_this_one_has_not_is_gone(volume_run: Layout, tmp_path: Path) -> None:
    found, own = gathered(volume_run, Options(embed=0)), tmp_path / "notes.csv"
    own.write_text("mine")
    for last in (found.last, None):  # as after a rerun that has not come to a selection
        files = write_tables(found.run, found.verdict, None, found.suspects, None, last, [], tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {name for name, _ in files} | {own.name}


def test_the_page_names_the_folder_of_every_round_it_shows(slides_run: Layout, page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    folders = {path.name for path in (slides_run.root / "report" / "geojson").iterdir()}
    assert folders == {"round-00", "round-01", "round-02"}
    assert len(folders) < MOST_ROUNDS
    assert all(f"geojson/{name}/" in html for name in folders)
