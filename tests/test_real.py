"""Real patches, where they lie beside the project (or where PATCHCHAIN_DATA says): never shipped, never needed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import timm

from data.config import DataConfig
from data.errors import ChainError, ExitCode
from data.ingest import Survey, survey
from data.splits.config import LabelFraction, SplitsConfig
from data.splits.drawing import draw_without_leaks
from data.splits.written import LABELLED, POOL, TEST, VALIDATION, Assignment
from stages.networks.init.begin import begin
from stages.networks.init.config import Init
from stages.networks.init.donor import donor_from_file

DATA = Path(os.environ.get("PATCHCHAIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real patches in {DATA}; PATCHCHAIN_DATA names another folder"),
]


def taken(size_px: int, mode: str, **source: object) -> Survey:
    section = {"size_px": size_px, "mode": mode, "sources": [source]}
    return survey(DataConfig.model_validate_json(json.dumps(section, default=str)))


def drawn(found: Survey, duplicates: str = "refuse") -> Assignment:
    config = SplitsConfig(labels=LabelFraction(fraction=0.01), duplicates=duplicates)
    return draw_without_leaks(found.table, found.labels, found.classes, config)


def test_colorectal_tiles_in_a_folder_per_class() -> None:
    found = taken(96, "rgb8", kind="folder", path=DATA / "crc5")
    assert len(found.table) == 12_881
    assert found.classes == ("AC", "H", "S", "T", "V")
    assert not found.quarantined
    splits = drawn(found, "drop")
    assert splits.unit == "patch"
    assert any("look better than a new slide" in warning for warning in splits.warnings)
    assert all((splits.split == code).sum() > 50 for code in (LABELLED, POOL, VALIDATION, TEST))


def test_cells_by_patient_with_a_pool_nobody_labelled() -> None:
    found = taken(27, "rgb8", kind="manifest", path=DATA / "crchisto27" / "manifest.csv")
    assert len(found.table) == 18_375
    splits = drawn(found, "drop")
    assert splits.unit == "patient"
    at = np.searchsorted(splits.ids, found.table.ids)
    patient, split = found.table.patient.codes, splits.split[at]
    held_out = {int(p) for p in patient[np.isin(split, (VALIDATION, TEST))]}
    assert not held_out & {int(p) for p in patient[np.isin(split, (LABELLED, POOL))]}
    assert (split == POOL).sum() > 10_000


def test_a_patch_of_another_shape_is_quarantined_by_name() -> None:
    found = taken(50, "grey8", kind="manifest", path=DATA / "luna50" / "manifest.csv")
    assert len(found.table) + len(found.quarantined) == 8_174
    assert len(found.quarantined) == 1
    assert "50 x 47" in found.quarantined[0].reason
    splits = drawn(found)
    assert (splits.split == VALIDATION).sum() > 1_000


def test_imagenet_weights_load_whole_into_the_network_they_are_of_and_into_no_other() -> None:
    init = Init(kind="full", path=DATA / "weights" / "tf_efficientnet_lite0.timm.safetensors")
    donor = donor_from_file(DATA / "weights" / "tf_efficientnet_lite0.timm.safetensors", "teacher.init.path")
    words = begin(timm.create_model("tf_efficientnet_lite0", num_classes=5), init, donor, "teacher.init")
    assert int(words.split()[1]) > 250
    with pytest.raises(ChainError) as caught:
        begin(timm.create_model("resnet10t", num_classes=5), init, donor, "teacher.init")
    assert caught.value.code == ExitCode.MISMATCH
