"""Laws of drawn CT: the same bytes again, HU as two other readers see them, findings at their points."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from data.keys import generator
from data.synthetic.chest import FINDINGS, draw_chest
from data.synthetic.ct import SIDE_PX, SLICES, Scans, draw_series, write_points

SCANS = Scans(patients=4, candidates=6)  # the fourth lies prone


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ct")
    for index in range(SCANS.patients):
        draw_series(directory, SCANS, index)
    write_points(directory, SCANS)
    return directory


def volume(directory: Path, name: str) -> SimpleITK.Image:
    """The series as SimpleITK reads it, sorted by its own rules."""
    files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(directory / "scans" / name))
    return SimpleITK.ReadImage(files)


def test_the_same_scans_are_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    draw_series(tmp_path, SCANS, 3)
    again = {path.name: path.read_bytes() for path in (tmp_path / "scans/p03").iterdir()}
    assert again == {path.name: path.read_bytes() for path in (drawn / "scans/p03").iterdir()}
    assert len(again) == SLICES


def test_what_was_cut_short_is_drawn_to_its_end(drawn: Path, tmp_path: Path) -> None:
    draw_series(tmp_path, SCANS, 0)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "scans/p00").iterdir()}
    (tmp_path / ".rows" / "p00.csv").unlink()
    for path in sorted((tmp_path / "scans/p00").iterdir())[5:]:
        path.unlink()
    draw_series(tmp_path, SCANS, 0)
    assert whole == {path.name: path.read_bytes() for path in (tmp_path / "scans/p00").iterdir()}


@pytest.mark.parametrize("index", range(SCANS.patients))
def test_a_series_reads_as_hounsfield_units(drawn: Path, index: int) -> None:
    image = volume(drawn, SCANS.names()[index])
    hu = SimpleITK.GetArrayFromImage(image)
    assert hu.shape == (SLICES, SIDE_PX, SIDE_PX)
    assert image.GetSpacing()[2] in (2.5, 3.0)
    assert abs(np.median(hu[:, :4, :4]) + 1000) < 30  # air
    assert 300 < np.percentile(hu, 99.5) < 900  # bone
    assert 0 < np.median(hu[:, SIDE_PX // 2, SIDE_PX // 2]) < 80  # between the lungs
    first = min((drawn / "scans" / SCANS.names()[index]).iterdir())
    header = pydicom.dcmread(first)
    place = image.TransformPhysicalPointToIndex([float(v) for v in header.ImagePositionPatient])
    by_pydicom = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
    np.testing.assert_array_equal(hu[place[2]], by_pydicom)


def test_every_point_lies_on_a_finding_whatever_the_orientation(drawn: Path) -> None:
    images = {SCANS.series_uid(i): volume(drawn, name) for i, name in enumerate(SCANS.names())}
    directions = {image.GetDirection()[0] for image in images.values()}
    assert directions == {1.0, -1.0}
    with (drawn / "candidates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SCANS.patients * SCANS.candidates
    assert Counter(row["class"] for row in rows).keys() == set(FINDINGS)
    for row in rows:
        image = images[row["seriesuid"]]
        at = image.TransformPhysicalPointToIndex([float(row[f"coord{axis}"]) for axis in "XYZ"])
        x, y, z = at
        hu = SimpleITK.GetArrayViewFromImage(image)
        assert hu[z, y - 1 : y + 2, x - 1 : x + 2].mean() > -350, row
        assert np.median(hu[z, y - 14 : y + 15, x - 14 : x + 15]) < -600, row  # all around: lung


def test_candidates_keep_their_distance_and_classes_take_turns() -> None:
    chest = draw_chest(generator("test", 1), (SLICES, SIDE_PX, SIDE_PX), (2.0, 2.0, 3.0), 12)
    assert len(chest.findings) == len(chest.points_mm) >= 10
    assert chest.findings[:4] == ("solid", "spiculated", "vessel", "solid")
    apart = np.linalg.norm(chest.points_mm[:, None] - chest.points_mm[None], axis=2) + 1e9 * np.eye(len(chest.findings))
    assert apart.min() > 24


def test_size_and_density_alone_do_not_tell_the_classes() -> None:
    bright: dict[str, list[float]] = {finding: [] for finding in FINDINGS}
    for patient in range(4):
        chest = draw_chest(generator("density", patient), (SLICES, SIDE_PX, SIDE_PX), (2.0, 2.0, 3.0), 12)
        for point, finding in zip(chest.points_mm, chest.findings, strict=True):
            x, y, z = np.rint(point / chest.spacing_mm).astype(int)
            bright[finding].append(float(chest.hu[z, y - 1 : y + 2, x - 1 : x + 2].max()))
    middles = [np.median(values) for values in bright.values()]
    spread = np.std(np.concatenate(list(bright.values())))
    assert max(middles) - min(middles) < 1.5 * spread
