"""A set is listed once, and what was listed is known to be this set."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.label_efficiency.listing import Listing, listed
from data.errors import ChainError, ExitCode


def written(folder: Path, labels: str = "abab", size: int = 32, dtype: type = np.uint8) -> Path:
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for at, label in enumerate(labels):
            content = random.integers(0, np.iinfo(dtype).max, (size, size), dtype=dtype)
            cv2.imwrite(str(folder / f"{at}.png"), content)
            rows.writerow([f"{at}.png", label])
    return folder / "manifest.csv"


def listing_of(manifest: Path, kept_in: Path, most: int = 0) -> Listing:
    kept_in.mkdir(exist_ok=True)
    return listed(str(manifest), manifest.parent, most, kept_in)


def test_another_set_is_not_taken_for_the_one_that_was_listed(tmp_path: Path) -> None:
    kept_in = tmp_path / "into"
    found = listing_of(written(tmp_path / "ours"), kept_in)
    moved = tmp_path / "moved"
    (tmp_path / "ours").rename(moved)
    assert (listing_of(moved / "manifest.csv", kept_in).label == found.label).all(), "where it lies is nothing to it"
    for other in (written(tmp_path / "theirs", "abba"), written(tmp_path / "larger", size=48)):
        with pytest.raises(ChainError, match="lists another set") as refusal:
            listing_of(other, kept_in)
        assert refusal.value.code == ExitCode.MISMATCH
        assert "--into" in refusal.value.lines()[-1]
    with pytest.raises(ChainError, match="lists another set"):
        listing_of(moved / "manifest.csv", kept_in, most=2)


def test_patches_of_more_than_eight_bits_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="png is grey16") as refusal:
        listing_of(written(tmp_path / "deep", dtype=np.uint16), tmp_path / "into")
    assert refusal.value.code == ExitCode.BAD_DATA
