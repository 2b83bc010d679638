"""Patches of real CT, where it lies beside the project: never shipped, never needed."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name

from data.patches.deid import pseudonym
from data.preparation import Refusal
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.volumes.preparation import Volumes

DATA = Path(os.environ.get("PATCHCHAIN_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "ct"
KEY = b"0123456789abcdef"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real CT in {DATA}; PATCHCHAIN_DATA names another folder"),
]


def prepared(out: Path, **keys) -> tuple[PatchStore, dict]:
    section = Volumes.model_validate_json(json.dumps(keys, default=str))
    (unit,) = [one for one in section.units(KEY) if not isinstance(one, Refusal)]
    facts = section.prepare(unit, out, 2, lambda done, total: None, KEY)
    return PatchStore(out / "patches.h5"), facts


def test_a_grid_over_the_small_ct_is_labelled_by_its_segmentation(tmp_path):
    masks = {"folder": DATA / "nifti", "strip": "_ct_sm", "suffix": "_seg"}
    store, facts = prepared(
        tmp_path, path=DATA / "nifti", pattern="*_sm*", spacing_mm=3.0, size_px=17, slice_mm=3.0, shape="2.5d",
        where={"kind": "grid", "stride_mm": 21, "region": "body"},
        labels={"kind": "mask", "masks": masks, "otherwise": "none",
                "classes": [{"name": "organ", "values": list(range(1, 118)), "min_share": 0.4}]},
    )  # fmt: skip
    ct, seg = (nibabel.load(DATA / "nifti" / f"example_{name}.nii.gz") for name in ("ct_sm", "seg"))
    hu, organs = np.asarray(ct.dataobj), np.asarray(seg.dataobj)
    to_index = np.linalg.inv(ct.affine)
    given = read_source_labels(store.path)
    found = set()
    for row in range(len(store)):
        lps = np.array([store.numbers[name][row] for name in ("x_mm", "y_mm", "z_mm")])
        index = (to_index @ [*(lps * [-1, -1, 1]), 1])[:3]
        # of this size and stride the grid's samples are voxels: nothing is interpolated
        assert np.allclose(index, np.rint(index), atol=1e-4)
        box = np.ix_(*(round(index[axis]) + np.arange(n) - n // 2 for axis, n in enumerate((17, 17, 3))))
        turned = [int(np.sign(ct.affine[axis, axis])) for axis in (0, 1)]  # the file's axes against left and back
        assert np.array_equal(store.pixels(row), hu[box][:: -turned[0], :: -turned[1]].transpose(1, 0, 2))
        share = (organs[box] > 0).mean()
        assert given.label[row] == ("organ" if share >= 0.4 else "" if share else "none")
        found.add(given.label[row])
    assert found == {"organ", "", "none"}
    assert facts["spacing_mm"] == [3.0, 3.0, 3.0]


def test_points_in_the_large_ct_are_where_simpleitk_has_them(tmp_path):
    path = DATA / "nifti" / "example_ct.nii.gz"
    image = sitk.ReadImage(str(path))
    points = [image.TransformContinuousIndexToPhysicalPoint(at) for at in [(60.3, 50.7, 40.2), (40.0, 61.25, 90.9)]]
    rows = [f"example_ct,{x:.3f},{y:.3f},{z:.3f}" for x, y, z in points]
    (tmp_path / "points.csv").write_text("\n".join(["seriesuid,coordX,coordY,coordZ", *rows]) + "\n")
    out = tmp_path / "out"
    out.mkdir()
    store, _ = prepared(
        out, path=path, spacing_mm=1.5, size_px=20, shape="3d", slices=12, where={"kind": "points"},
        points={"csv": tmp_path / "points.csv"},
    )  # fmt: skip
    for row in range(2):
        centre = [float(store.numbers[name][row]) for name in ("x_mm", "y_mm", "z_mm")]
        first = np.array(centre) - np.array([19, 19, 11]) / 2 * 1.5
        oracle = sitk.Resample(
            sitk.Cast(image, sitk.sitkFloat64), [20, 20, 12], sitk.Transform(), sitk.sitkLinear, first.tolist(),
            [1.5] * 3, np.eye(3).ravel().tolist(), -1024.0,
        )  # fmt: skip
        assert np.abs(store.pixels(row) - sitk.GetArrayFromImage(oracle).transpose(1, 2, 0)).max() <= 0.51


def test_the_head_scan_is_refused_by_both_its_faults_and_prepared_when_they_are_accepted(tmp_path):
    keys = {"path": DATA / "dicom_ge", "spacing_mm": 1.0, "size_px": 64,
            "where": {"kind": "grid", "stride_mm": 48, "region": "body"}}  # fmt: skip
    (refusal,) = Volumes.model_validate_json(json.dumps(keys, default=str)).units(KEY)
    assert isinstance(refusal, Refusal)
    assert "gantry_tilt, uneven_spacing" in refusal.error.what
    store, facts = prepared(tmp_path, **keys, accept=["gantry_tilt", "uneven_spacing"])
    assert len(store) > 20
    assert [note.split(":")[0] for note in facts["notes"]] == ["gantry_tilt", "uneven_spacing"]
    assert pseudonym(KEY, "dicom_ge") not in json.dumps(facts)
