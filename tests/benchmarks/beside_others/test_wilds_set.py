"""The folder as a set of WILDS. WILDS is not installed here: its base classes only add columns to what is tested."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.beside_others.patches import Rows, written
from benchmarks.beside_others.wilds_set import METRIC, balanced_accuracy, defaults, labelled_set, pool_set
from tests.benchmarks.beside_others.folders import SMALL, classes


class Base:
    """In place of WILDSDataset and WILDSUnlabeledDataset."""

    def __init__(self, root_dir: str, download: bool, split_scheme: str | None) -> None:
        self.begun = (root_dir, download, split_scheme)


def made(tmp_path: Path) -> tuple[Rows, Any, Any]:
    rows = written("set", classes(tmp_path), SMALL, tmp_path / "out")
    words = {"version": None, "root_dir": str(tmp_path / "out"), "split_scheme": "official"}
    return rows, labelled_set(Base)(**words), pool_set(Base)(**words)


def test_given_labels_are_in_the_splits_of_wilds(tmp_path: Path) -> None:
    _, given, _ = made(tmp_path)
    assert np.bincount(given._split_array).tolist() == [8, 2, 4], "train, val, test"
    assert (given._n_classes, given._y_size, given._original_resolution) == (2, 1, (16, 16))
    assert given._y_array.tolist() == given._metadata_array[:, 0].tolist()
    assert given.begun == (str(tmp_path / "out"), False, "official")


def test_the_pool_has_no_labels(tmp_path: Path) -> None:
    rows, _, pool = made(tmp_path)
    assert (pool._split_array == 10).all()
    assert len(pool._files) == len(rows.of("pool"))
    assert not hasattr(pool, "_y_array")
    assert pool._metadata_array.tolist() == [[0]] * 6, "WILDS counts by this column and knows no -1"
    assert pool._metadata_fields == ["y"]


def test_images_are_those_of_the_manifest(tmp_path: Path) -> None:
    rows, _, pool = made(tmp_path)
    assert pool.get_input(0).size == (16, 16)
    assert pool._files[0] == tmp_path / "out" / rows.paths[rows.of("pool")[0]]


def test_the_metric_that_is_asked_for_is_given(tmp_path: Path) -> None:
    _, given, _ = made(tmp_path)
    found, said = given.eval(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]), None)
    assert found[defaults()["val_metric"]] == 0.75
    assert said == f"{METRIC}: 0.750\n"


def test_classes_count_alike() -> None:
    assert balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])) == 0.5
