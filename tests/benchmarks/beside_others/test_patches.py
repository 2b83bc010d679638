"""The patches all sides read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.beside_others.patches import CHAIN, DRAWN, read, written
from data.errors import ChainError
from tests.benchmarks.beside_others.folders import SMALL, classes


def test_every_part_has_its_patches_and_the_pool_no_labels(tmp_path: Path) -> None:
    rows = written("set", classes(tmp_path), SMALL, tmp_path / "out")
    assert rows.classes == ["a", "b"]
    assert {split: len(rows.of(split)) for split in SMALL.parts} == {name: 2 * n for name, n in SMALL.parts.items()}
    assert (rows.label[rows.of("pool")] == -1).all()
    assert np.bincount(rows.label[rows.of("train")]).tolist() == [4, 4]
    assert len({(tmp_path / "out" / path).read_bytes() for path in rows.paths}) == len(rows.paths)
    with Image.open(tmp_path / "out" / rows.paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (16, 16))


def test_a_jpeg_that_fits_keeps_its_bytes(tmp_path: Path) -> None:
    rows = written("set", classes(tmp_path, form="jpg", side=16), SMALL, tmp_path / "out")
    given = {path.read_bytes() for path in (tmp_path / "set").rglob("*.jpg")}
    assert all((tmp_path / "out" / path).read_bytes() in given for path in rows.paths)


def test_what_is_written_stays(tmp_path: Path) -> None:
    first = written("set", classes(tmp_path), SMALL, tmp_path / "out")
    again = written("no such set", tmp_path, SMALL, tmp_path / "out")
    assert again.paths == first.paths == read(tmp_path / "out").paths


def test_the_chain_is_given_all_but_test(tmp_path: Path) -> None:
    written("set", classes(tmp_path), SMALL, tmp_path / "out")
    every, given = ((tmp_path / "out" / name).read_text().splitlines() for name in ("manifest.csv", CHAIN))
    assert given == [line for line in every if not line.endswith(",test")]
    assert len(every) - len(given) == 2 * SMALL.test


def test_copies_count_once(tmp_path: Path) -> None:
    root = classes(tmp_path)
    for number in range(1, 10):
        (root / "set" / "b" / f"{number}.png").write_bytes((root / "set" / "b" / "0.png").read_bytes())
    with pytest.raises(ValueError, match="b has fewer than 10 patches"):
        written("set", root, SMALL, tmp_path / "out")


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="the set nowhere is not there"):
        written("nowhere", tmp_path, SMALL, tmp_path / "out")


def test_a_set_is_drawn_without_data(tmp_path: Path) -> None:
    rows = written(DRAWN, tmp_path / "none", SMALL, tmp_path / "out")
    assert len(rows.paths) == 10 * len(rows.classes)
