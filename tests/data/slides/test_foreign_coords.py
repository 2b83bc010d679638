"""Coordinate files as the two tools write them: written here by their own writers' steps (chunked, resizable, texts of
variable length among the attributes), which is all that their readers and ours look at."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from data.slides.foreign_coords import CoordinatesConfig, coordinate_file, read_coordinates

SIZE = (10_000, 8_000)
LEVELS = (1.0, 4.0, 16.0)


def _save(path: Path, coords: np.ndarray, attributes: dict) -> Path:
    # both tools: one row a chunk, resizable
    with h5py.File(path, "w") as file:
        data = file.create_dataset("coords", shape=coords.shape, maxshape=(None, 2), chunks=(1, 2), dtype=coords.dtype)
        data[:] = coords
        for name, value in attributes.items():
            data.attrs[name] = value
    return path


def _clam(path: Path, coords: list, level: int = 0, **changed) -> Path:
    down = (LEVELS[level], LEVELS[level])
    dim = tuple(np.array([length // LEVELS[level] for length in SIZE], np.int64))
    said = {"patch_size": 256, "patch_level": level, "downsample": down, "downsampled_level_dim": dim,
            "level_dim": dim, "name": "slide", "save_path": "/somewhere/patches"} | changed  # fmt: skip
    return _save(path, np.array(coords, np.int64).reshape(-1, 2), {k: v for k, v in said.items() if v is not None})


def _trident(path: Path, coords: list, **changed) -> Path:
    said = {"patch_size": 256, "patch_size_level0": 512, "level0_magnification": 40, "target_magnification": 20,
            "overlap": 0, "name": "slide", "savetodir": "/somewhere", "level0_width": SIZE[0],
            "level0_height": SIZE[1]} | changed  # fmt: skip
    return _save(path, np.array(coords, np.int64).reshape(-1, 2), {k: v for k, v in said.items() if v is not None})


PLACES = [[512, 0], [0, 0], [0, 512], [9_488, 7_488]]


def test_trident_coordinates_are_read_in_row_major_order(tmp_path):
    found = read_coordinates(_trident(tmp_path / "s_patches.h5", PLACES), SIZE, LEVELS)
    assert found.tool == "trident"
    assert found.side_px == 512
    assert found.xy_px.tolist() == [[0, 0], [512, 0], [0, 512], [9_488, 7_488]]
    assert found.xy_px.dtype == np.int64


@pytest.mark.parametrize(("level", "side"), [(0, 256), (1, 1024)])
def test_clam_patches_are_as_large_as_their_level_says(tmp_path, level, side):
    found = read_coordinates(_clam(tmp_path / "s.h5", [[0, 0], [1024, 2048]], level), SIZE, LEVELS)
    assert (found.tool, found.side_px) == ("clam", side)


def test_clams_custom_downsample_counts(tmp_path):
    found = read_coordinates(_clam(tmp_path / "s.h5", [[0, 0]], custom_downsample=2), SIZE, LEVELS)
    assert found.side_px == 512


def test_tridents_older_and_unsure_files_are_read(tmp_path):
    old = _trident(tmp_path / "a.h5", PLACES, level0_width=None, level0_height=None)
    unsure = _trident(tmp_path / "b.h5", PLACES, level0_magnification="None")
    assert len(read_coordinates(old, SIZE, LEVELS).xy_px) == len(read_coordinates(unsure, SIZE, LEVELS).xy_px) == 4


def test_a_slide_without_tissue_gives_no_patches(tmp_path):
    assert read_coordinates(_trident(tmp_path / "s.h5", []), SIZE, LEVELS).xy_px.shape == (0, 2)


@pytest.mark.parametrize("place", [[9_489, 0], [0, 7_489]])
def test_a_patch_beyond_the_edge_is_refused_naming_it_or_dropped_as_stated(tmp_path, place):
    path = _trident(tmp_path / "s.h5", [[0, 0], place])
    with pytest.raises(ChainError, match="row 1 of coords") as caught:
        read_coordinates(path, SIZE, LEVELS)
    assert "beyond_edge: drop" in caught.value.todo
    found = read_coordinates(path, SIZE, LEVELS, "drop")
    assert found.xy_px.tolist() == [[0, 0]]
    assert found.facts["beyond_edge_dropped"] == 1


@pytest.mark.parametrize("place", [[-1, 0], [0, -512], [10_000, 0], [1 << 62, 0], [-(1 << 63), 0], [(1 << 63) - 1, 0]])
def test_a_patch_of_another_slide_is_refused_whatever_is_stated(tmp_path, place):
    for beyond_edge in ("refuse", "drop"):
        with pytest.raises(ChainError, match="row 1 of coords"):
            read_coordinates(_trident(tmp_path / "s.h5", [[0, 0], place]), SIZE, LEVELS, beyond_edge)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"level0_width": 9_999}, "cut from another file"),
        ({"patch_size_level0": 0}, "'patch_size_level0' is 0"),
        ({"patch_size_level0": float("nan")}, "not finite"),
        ({"patch_size_level0": "512"}, "patch_size_level0"),
        ({"patch_size_level0": [1, 2, 3]}, "patch_size_level0"),
        ({"patch_size_level0": 1024}, "takes 512"),
        ({"patch_size": None}, "no attribute 'patch_size'"),
    ],
)
def test_a_trident_file_that_contradicts_itself_or_the_slide_is_refused(tmp_path, changed, words):
    with pytest.raises(ChainError) as caught:
        read_coordinates(_trident(tmp_path / "s.h5", PLACES, **changed), SIZE, LEVELS)
    assert words in caught.value.why
    assert caught.value.code == ExitCode.BAD_DATA


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"patch_level": 3}, "levels 0 to 2"),
        ({"patch_level": -1}, "patch_level"),
        ({"patch_level": None}, "no attribute 'patch_level'"),
        ({"downsample": (2.0, 2.0)}, "cut from another file"),
        ({"downsample": (1.0, 2.0)}, "'downsample' is 1, 2"),
        ({"level_dim": (5_000, 4_000)}, "cut from another file"),
        ({"patch_size": 1e9}, "patch_size"),
    ],
)
def test_a_clam_file_that_contradicts_itself_or_the_slide_is_refused(tmp_path, changed, words):
    with pytest.raises(ChainError) as caught:
        read_coordinates(_clam(tmp_path / "s.h5", [[0, 0]], **changed), SIZE, LEVELS)
    assert words in caught.value.why


@pytest.mark.parametrize("coords", [np.zeros((3, 3), int), np.zeros(4, int), np.zeros((2, 2)), np.zeros((2, 2), bool)])
def test_coordinates_of_another_shape_or_type_are_refused(tmp_path, coords):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["coords"] = coords
    with pytest.raises(ChainError, match="refused"):
        read_coordinates(tmp_path / "s.h5", SIZE, LEVELS)


def test_a_file_without_coordinates_or_with_old_images_is_refused(tmp_path):
    path = _clam(tmp_path / "s.h5", [[0, 0]])
    with h5py.File(path, "a") as file:
        file["imgs"] = np.zeros((1, 4, 4, 3), np.uint8)
    with pytest.raises(ChainError) as caught:
        read_coordinates(path, SIZE, LEVELS)
    assert "imgs" in caught.value.why
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["features"] = np.zeros((2, 2))
    with pytest.raises(ChainError, match="no dataset 'coords'"):
        read_coordinates(tmp_path / "t.h5", SIZE, LEVELS)


def test_declared_rows_that_were_never_written_are_refused(tmp_path):
    path = _trident(tmp_path / "s.h5", PLACES)
    with h5py.File(path, "a") as file:
        file["coords"].resize(9, axis=0)  # what a killed writer leaves: rows that read as zeros
    with pytest.raises(ChainError) as caught:
        read_coordinates(path, SIZE, LEVELS)
    assert "holds fewer" in caught.value.why


def test_a_patch_listed_twice_is_refused(tmp_path):
    with pytest.raises(ChainError) as caught:
        read_coordinates(_clam(tmp_path / "s.h5", [[0, 0], [256, 0], [0, 0]]), SIZE, LEVELS)
    assert "x 0, y 0 twice" in caught.value.why


def test_what_the_tools_say_of_their_own_unfinished_work_is_heard(tmp_path):
    path = _trident(tmp_path / "s_patches.h5", PLACES)
    lock = tmp_path / "s_patches.h5.lock"
    lock.write_text("{}")
    with pytest.raises(ChainError) as caught:
        read_coordinates(path, SIZE, LEVELS)
    assert "lock" in caught.value.why
    (tmp_path / "patches").mkdir()
    path = _clam(tmp_path / "patches" / "s.h5", [[0, 0]])
    listing = tmp_path / "process_list_autogen.csv"
    listing.write_text("slide_id,process,status,seg_level\ns.svs,0,tbp,-1\nt.svs,0,processed,-1\n")
    with pytest.raises(ChainError) as caught:
        read_coordinates(path, SIZE, LEVELS)
    assert "tbp" in caught.value.why
    listing.write_text("slide_id,process,status,seg_level\ns.svs,0,processed,-1\n")
    assert len(read_coordinates(path, SIZE, LEVELS).xy_px) == 1


@pytest.mark.parametrize("share", range(1, 20))
def test_a_file_cut_anywhere_is_refused(tmp_path, share):
    path = _clam(tmp_path / "s.h5", [[256 * i, 0] for i in range(30)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * share // 20])
    with pytest.raises(ChainError, match=r"s\.h5"):
        read_coordinates(path, SIZE, LEVELS)


def test_the_file_of_a_slide_is_found_by_its_stem(tmp_path):
    config = CoordinatesConfig.model_validate_json(json.dumps({"path": str(tmp_path)}))
    with pytest.raises(ChainError) as caught:
        coordinate_file(config, "a/s.svs")
    assert caught.value.code == ExitCode.MISSING
    _clam(tmp_path / "s.h5", [])
    assert coordinate_file(config, "a/s.svs") == tmp_path / "s.h5"
    _trident(tmp_path / "s_patches.h5", [])
    with pytest.raises(ChainError, match="both belong"):
        coordinate_file(config, "a/s.svs")
