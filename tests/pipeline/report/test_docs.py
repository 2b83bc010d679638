"""docs/report.md: its Python runs, its columns are those of the files, its verb is the program's."""

import re
from pathlib import Path

import pandas as pd
import pytest

import run_chain
from benchmarks.fake_run import Shape, fake_run
from data.slides.geojson import read_geojson
from data.splits.written import LABELLED
from pipeline.directory.layout import Layout
from pipeline.report.build import Options, write_report
from pipeline.report.frames import beliefs, pseudo_labels
from pipeline.report.run import Run
from stages.select.selection import read_selection

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def desk(slides_run: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(slides_run.root)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", DOCS, flags=re.S))
def test_the_python_of_the_page_runs(block: str, desk: Path) -> None:
    names: dict[str, object] = {}
    exec(compile(block, "report.md", "exec"), names)  # our own text
    for name in ("kept", "drifted", "one", "pool", "seen", "models", "classes", "suspects", "places"):
        if name in names:
            assert len(names[name]) > 0, name  # type: ignore[arg-type]


def test_every_file_has_the_columns_that_are_written(slides_run: Layout) -> None:
    rows = re.findall(r"^\| `(\S+\.(?:csv|parquet))` \|[^|]*\|(.*)\|$", DOCS, flags=re.M)
    assert {name for name, _ in rows} == {path.name for path in (slides_run.root / "report").glob("*.*")}
    for name, columns in rows:
        path = slides_run.root / "report" / name
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        assert list(found.columns) == [
            word for word in re.findall(r"`([^`]+)`", columns) if word != "inspect --json"
        ], name


def test_of_a_run_that_nothing_judges_the_python_runs_too_and_the_columns_are_the_same(
    slides_run: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_run(tmp_path / "runs" / "demo", Shape(30, {LABELLED: 12}, slides=3, rounds=1))
    write_report(run, options=Options(embed=20))
    for path in (run.root / "report").glob("*.csv"):
        assert list(pd.read_csv(path).columns) == list(pd.read_csv(slides_run.root / "report" / path.name).columns)
    assert len(pd.read_csv(run.root / "report" / "models.csv")) == 0
    monkeypatch.chdir(tmp_path)
    exec(compile(re.findall(r"```python\n(.*?)```", DOCS, flags=re.S)[-1], "report.md", "exec"), {})  # our own text


def test_the_data_frame_is_the_selection_with_names(slides_run: Layout) -> None:
    found = pseudo_labels(slides_run.root, 2)
    chosen = read_selection(slides_run.place("rounds/02/select") / "selection.parquet")
    assert found["id"].tolist() == [f"{int(one):016x}" for one in chosen.ids]
    assert found["label"].cat.codes.tolist() == chosen.label.tolist()
    probs = found[[name for name in found.columns if name.startswith("p_")]].to_numpy()
    assert (abs(probs.sum(axis=1) - 1) < 1e-3).all()
    assert (abs(probs[range(len(found)), chosen.label] - chosen.confidence) < 1e-3).all()
    named = re.search(r"A row for each pseudo-label: (.*?)\n\n", DOCS, flags=re.S)
    assert named is not None
    for name in re.findall(r"`([a-z_]+)`", named[1].partition("`x_px`")[0]):
        assert name in found.columns


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_a_round_believes_has_each_pool_patch_once_and_its_pseudo_labels_among_them(
    slides_run: Layout, number: int
) -> None:
    found, kept = beliefs(slides_run.root, number), pseudo_labels(slides_run.root, number)
    assert found["id"].tolist() == [f"{one:016x}" for one in Run.open(slides_run).splits.pool.tolist()]
    assert set(found["id"][found["kept"]]) == set(kept["id"])
    probs = found[[name for name in found.columns if name.startswith("p_")]].to_numpy()
    assert probs.argmax(axis=1).tolist() == found["predicted"].cat.codes.tolist()
    assert probs.max(axis=1) == pytest.approx(found["confidence"])
    assert set(found.columns) - set(kept.columns) == {"predicted", "margin", "kept"}
    assert set(kept.columns) - set(found.columns) == {"label", "weight", "copies"}
    same = kept.merge(found, on="id", suffixes=("", "_of_pool"))
    for name in ("row", "place", "slide", "first_round", "x_px"):
        assert (same[name] == same[f"{name}_of_pool"]).all(), name
    if number == 2:  # as the report's table of the last round has it
        table = pd.read_parquet(slides_run.root / "report" / "pool.parquet")
        for name in ("predicted", "confidence", "margin", "kept", "first_round"):
            assert table[name].tolist() == found[name].tolist(), name


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_geojson_is_read_back_as_the_selection(slides_run: Layout, number: int) -> None:
    kept = pseudo_labels(slides_run.root, number)
    files = sorted((slides_run.root / "report" / "geojson" / f"round-{number:02d}").iterdir())
    assert len(files) == kept["slide"].nunique()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in files)
    regions = [region for path in files for region in read_geojson(path)[0]]
    assert len(regions) == len(kept)
    by_label = kept["label"].value_counts().to_dict()
    printable = {name: n for name, n in by_label.items() if name.isprintable()}
    assert {name: sum(region.label == name for region in regions) for name in printable} == printable
    boxes = {tuple(round(v) for v in region.shape.bounds) for region in regions}
    expected = {
        (round(x), round(y), round(x + s), round(y + s)) for x, y, s in kept[["x_px", "y_px", "side_px"]].to_numpy()
    }
    assert boxes == expected


def test_the_commands_are_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["report"], ["review", "export"]):
        with pytest.raises(SystemExit):
            run_chain.main([*words, "--help"])
    told = capsys.readouterr().out
    for flag in set(re.findall(r"(?<!-)--[a-z][a-z-]+", DOCS)) - {"--json"}:
        assert flag in told, flag
