"""Masks: found by name, laid on the volume's grid, refused when they cannot be its mask."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ChainError
from data.patches.deid import pseudonym
from data.volumes.label_map import LabelMap
from data.volumes.lattice import Lattice
from data.volumes.masks import find_masks, read_mask
from data.volumes.volume import Volume

KEY = b"0123456789abcdef"
SHAPE, SPACING, ORIGIN = (6, 10, 12), (1.5, 1.0, 2.0), np.array([-20.0, 33.0, 7.0])


@pytest.fixture
def volume():
    return Volume(np.zeros(SHAPE, np.int16), SPACING, ORIGIN, np.eye(3))


def labels(seed=0):
    return np.random.default_rng(seed).integers(0, 4, SHAPE).astype(np.uint8)


def written(path: Path, values, spacing=SPACING, origin=ORIGIN, direction=None) -> tuple[Path, ...]:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing([float(v) for v in spacing])
    image.SetOrigin([float(v) for v in origin])
    if direction is not None:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path), useCompression=path.name.endswith((".gz", ".nrrd")))
    return (path,)


def refusal(paths, volume) -> str:
    with pytest.raises(ChainError) as caught:
        read_mask(paths, volume, "v-1", "where.masks")
    said = " ".join(caught.value.lines())
    assert caught.value.code == 65
    assert "v-1" in said
    assert "CANARY" not in said
    return said


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".mhd"])
def test_a_mask_on_the_volumes_grid_comes_back_as_it_is(tmp_path, volume, kind, ending):
    found = read_mask(written(tmp_path / f"m{ending}", labels().astype(kind)), volume, "v-1", "where.masks")
    assert found.values.dtype == np.uint16
    assert np.array_equal(found.values, labels())


def test_a_mask_stored_another_way_round_is_turned(tmp_path, volume):
    # the same voxels, stored from the far corner with x and z turned
    turned = np.ascontiguousarray(labels()[::-1, :, ::-1])
    corner = ORIGIN + np.array([(12 - 1) * 1.5, 0, (6 - 1) * 2.0])
    paths = written(tmp_path / "m.nrrd", turned, origin=corner, direction=[-1, 0, 0, 0, 1, 0, 0, 0, -1])
    assert np.array_equal(read_mask(paths, volume, "v-1", "where.masks").values, labels())


def test_a_finer_and_larger_mask_is_read_at_the_nearest_voxel(tmp_path, volume):
    fine = np.random.default_rng(1).integers(0, 9, (20, 40, 50)).astype(np.uint8)
    spacing, origin = (0.7, 0.45, 0.9), ORIGIN - 3
    found = read_mask(written(tmp_path / "m.mha", fine, spacing, origin), volume, "v-1", "where.masks")
    for z, y, x in np.ndindex(SHAPE):
        index = ((np.array([x, y, z]) * SPACING + ORIGIN) - origin) / spacing
        i, j, k = np.floor(index + 0.5).astype(int)
        expected = fine[k, j, i] if (np.array([i, j, k]) < [50, 40, 20]).all() else 0
        assert found.values[z, y, x] == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros(SHAPE, np.uint8), "empty"),
        (np.full(SHAPE, 0.5, np.float32), "whole numbers"),
        (np.full(SHAPE, np.nan, np.float32), "whole numbers"),
        (np.full(SHAPE, -1, np.int16), "whole numbers"),
        (np.full(SHAPE, 70_000, np.int32), "whole numbers"),
        (np.ones((2, *SHAPE), np.uint8), "time_series"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(tmp_path, volume, values, says):
    path = tmp_path / "CANARY.nrrd"
    image = sitk.GetImageFromArray(values, isVector=False)
    sitk.WriteImage(image, str(path))
    assert says in refusal((path,), volume)


@pytest.mark.parametrize("name", ["CANARY.nii", "CANARY.nii.gz", "CANARY.mha", "CANARY.nrrd"])
def test_a_truncated_mask_is_refused_wherever_it_is_cut(tmp_path, volume, name):
    (path,) = written(tmp_path / name, labels())
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 8, 29):  # the last bytes of a gzip file in .nrrd are its checksum
        path.write_bytes(whole[:cut])
        refusal((path,), volume)


def test_a_mask_of_another_place_is_refused(tmp_path, volume):
    paths = written(tmp_path / "CANARY.mha", labels(), origin=ORIGIN + 500)
    assert "does not reach into the volume" in refusal(paths, volume)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING])
def test_a_mask_that_was_saved_without_its_place_is_refused_not_laid_elsewhere(tmp_path, ending, spacing):
    volume = Volume(np.zeros(SHAPE, np.int16), SPACING, np.array([-4.0, -3.0, -5.0]), np.eye(3))
    paths = written(tmp_path / f"CANARY{ending}", np.ones(SHAPE, np.uint8), spacing, np.zeros(3))
    assert "lost where it lies" in refusal(paths, volume)
    volume = Volume(volume.hu, spacing, np.zeros(3), np.eye(3))
    assert read_mask(paths, volume, "v-1", "where.masks").values.all(), "where the volume lies there too, it is right"


def test_a_mask_is_found_by_the_volumes_name_less_and_plus_what_is_said(tmp_path):
    for name in ("case1_seg.nii.gz", "sub/1.2.3_seg.nrrd", "case1.nii.gz", "notes_seg.txt", ".case9_seg.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    written(tmp_path / "two_seg.mhd", labels())
    found = find_masks(tmp_path, "_0000", "_seg", KEY, "prepare.where.masks")
    assert {name: [files[0].name for files in of] for name, of in found.items()} == {
        pseudonym(KEY, "case1_0000"): ["case1_seg.nii.gz"],
        pseudonym(KEY, "1.2.3_0000"): ["1.2.3_seg.nrrd"],
        pseudonym(KEY, "two_0000"): ["two_seg.mhd"],
    }
    ((header, voxels),) = found[pseudonym(KEY, "two_0000")]
    assert (header.suffix, voxels.suffix) == (".mhd", ".raw")
    for folder in (tmp_path / "CANARY", tmp_path / "sub"):
        with pytest.raises(ChainError) as caught:
            find_masks(folder, "", "_liver", KEY, "prepare.where.masks")
        assert caught.value.code == 66
        assert "CANARY" not in "".join(caught.value.lines())


def test_a_mask_that_is_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (path,) = written(tmp_path / "elsewhere" / "CANARY.nii.gz", labels())
    folder = tmp_path / "masks"
    folder.mkdir()
    written(folder / "one_seg.nii.gz", labels())
    (folder / "two_seg.nii.gz").symlink_to(folder / "one_seg.nii.gz")
    (folder / "other.nii.gz").symlink_to(path)  # of no mask's name
    assert len(find_masks(folder, "", "_seg", KEY, "prepare.where.masks")) == 2
    (folder / "CANARY_seg.nii.gz").symlink_to(path)
    with pytest.raises(ChainError, match=r"prepare\.where\.masks") as caught:
        find_masks(folder, "", "_seg", KEY, "prepare.where.masks")
    assert caught.value.code == 65
    assert "symbolic link" in caught.value.why
    assert "CANARY" not in "".join(caught.value.lines())


def test_a_pipe_is_no_mask(tmp_path):
    os.mkfifo(tmp_path / "a_seg.nii")
    written(tmp_path / "b_seg.nii", labels())
    assert len(find_masks(tmp_path, "", "_seg", KEY, "prepare.where.masks")) == 1


def test_mutated_masks_are_read_or_refused(tmp_path, volume, capfd):
    originals = [written(tmp_path / name, labels())[0] for name in ("m.nii", "m.nii.gz", "m.mha", "m.nrrd")]
    rng = random.Random(0)
    refusals = []
    for round_ in range(240):
        original = originals[round_ % 4]
        data = bytearray(original.read_bytes())
        match rng.randrange(3):
            case 0:
                data = data[: rng.randrange(len(data))]
            case 1:
                for _ in range(rng.randint(1, 8)):
                    data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
            case _:
                at = rng.randrange(len(data))
                data[at : at + rng.randint(1, 30)] = b""
        path = tmp_path / f"CANARY{''.join(original.suffixes)}"
        path.write_bytes(data)
        try:
            found = read_mask((path,), volume, "v-1", "where.masks")
            assert found.values.shape == SHAPE
        except ChainError as error:
            refusals += error.lines()
    assert len(refusals) > 3 * 100
    assert "CANARY" not in "".join(refusals)
    assert "CANARY" not in "".join(capfd.readouterr())


def test_the_share_of_a_patch_is_a_count_of_its_samples():
    values = labels()
    lattice = Lattice(5, 3, 1.3, 1.7)
    centre = np.array([8.0, 5.0, 4.0])
    patch = LabelMap(values, SPACING).patch(lattice, centre)
    count = 0
    for r, c, s in np.ndindex(5, 5, 3):
        place = centre + np.array([(c - 2) * 1.3, (r - 2) * 1.3, (s - 1) * 1.7])
        x, y, z = np.floor(place / SPACING + 0.5).astype(int)
        inside = 0 <= x < 12 and 0 <= y < 10 and 0 <= z < 6
        expected = values[z, y, x] if inside else 0
        assert patch[r, c, s] == expected
        count += expected != 0
    x, y, z = (np.array([at]) for at in centre)
    assert LabelMap(values, SPACING).shares(lattice, x, y, z) == pytest.approx(count / 75)


@settings(max_examples=50, deadline=None)
@given(
    centres=st.tuples(*[st.lists(st.floats(-5, 25), min_size=1, max_size=3)] * 3),
    lattice=st.builds(Lattice, st.integers(1, 7), st.integers(1, 4), st.floats(0.3, 3), st.floats(0.3, 3)),
)
def test_shares_of_a_grid_are_those_of_its_patches(centres, lattice):
    found = LabelMap(labels(), SPACING)
    x, y, z = map(np.array, centres)
    shares = found.shares(lattice, x, y, z)
    for k, j, i in np.ndindex(shares.shape):
        patch = found.patch(lattice, np.array([x[i], y[j], z[k]]))
        assert shares[k, j, i] == pytest.approx((patch != 0).mean())
