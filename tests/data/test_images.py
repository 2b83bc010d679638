"""What a network sees of a stored patch is one thing, wherever it is asked."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from data.augment.noise import PRESETS, Noise
from data.errors import ChainError, ExitCode
from data.files.hdf5 import fixed_text, h5py
from data.images import Images, drawer
from data.patches.record import Record
from data.pixels.network_input import NetworkInput
from data.pixels.windows import Window, windows_of
from data.store.patch_store import PatchStore
from data.store.writer import writing_store


def ct_store(path: Path, depth: int, windows: tuple[Window, ...], n: int = 6) -> PatchStore:
    rng = np.random.default_rng(0)
    with writing_store(path, "hu16", 16, depth) as writer:
        for i in range(n):
            pixels = rng.integers(-1024, 2000, (16, 16, depth)).astype(np.int16)
            writer.add(i + 1, Record(f"{i}"), "main", "split", (i, i), pixels)
        writer.classes, writer.windows = ("no", "yes"), windows
    return PatchStore(path)


@pytest.mark.parametrize("depth", [1, 3])
def test_hu_are_stored_as_they_are_and_windowed_on_reading(tmp_path: Path, depth: int) -> None:
    windows = windows_of(["lung", [40, 400]])
    store = ct_store(tmp_path / "patches.h5", depth, windows)
    assert store.windows == windows
    images = Images(store)
    assert images.kind.channels == 2 * depth
    hu = store.pixels(2)
    assert hu.dtype == np.int16
    image = images.image(2)
    for number, window in enumerate(windows):
        expected = np.clip((hu.astype(float) - window.level_hu) / window.width_hu + 0.5, 0, 1)
        np.testing.assert_allclose(image[:, :, number * depth : (number + 1) * depth], expected, atol=1e-5)


def test_noise_is_drawn_in_hu_before_the_windows(tmp_path: Path) -> None:
    """A shift by 10 HU is seen as 10 / width: albumentations on raw HU would have clipped everything to 1."""
    images = Images(ct_store(tmp_path / "patches.h5", 1, windows_of([[0, 4000]])))
    draw = drawer(Noise(intensity_shift_hu=10.0), images.kind)
    moved = images.noised(0, draw, 5) - images.image(0)
    inside = (images.image(0) > 0.01) & (images.image(0) < 0.99)
    assert np.ptp(moved[inside]) < 1e-5
    assert 0 < np.abs(moved[inside]).max() <= 10 / 4000 + 1e-6


def test_noise_of_every_kind_of_patch_travels_and_repeats(tmp_path: Path) -> None:
    images = Images(ct_store(tmp_path / "patches.h5", 3, windows_of(["lung"])))
    draw = drawer(Noise(**PRESETS["ct_strong"]), images.kind)
    there, draw_there = pickle.loads(pickle.dumps((images, draw)))
    assert np.array_equal(there.noised(1, draw_there, 3), images.noised(1, draw, 3))


def test_a_window_belongs_to_hu_alone() -> None:
    with pytest.raises(AssertionError):
        NetworkInput("hu16", 16)
    with pytest.raises(AssertionError):
        NetworkInput("rgb8", 16, 1, windows_of(["lung"]))


def test_the_words_of_the_input_name_every_step() -> None:
    kind = NetworkInput("hu16", 64, 5, windows_of(["lung", [40, 400]]))
    assert kind.shown == "hu16, 5 slices, windows lung [-600, 1500], [40, 400]"
    assert NetworkInput("rgb8", 64).shown == "rgb8"
    words = kind.words()
    for part in ("5 slices of 64 x 64 px", "lung [-600, 1500]", "[40, 400]", "window * slices + slice"):
        assert part in words
    assert "divide by 255" in NetworkInput("rgb8", 64).words()


@pytest.mark.parametrize("text", ["{", "5", '["lugn"]', '[{"level_hu": 1}]', "[[1, 2, 3]]", '{"lung": 1}'])
def test_a_store_whose_windows_are_damaged_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "patches.h5"
    ct_store(path, 1, windows_of(["lung"]))
    with h5py.File(path, "r+") as file:
        file.attrs["windows"] = fixed_text(text)
    with pytest.raises(ChainError, match=r"patches\.h5") as refusal:
        len(PatchStore(path))
    assert refusal.value.code == ExitCode.DAMAGED


def test_windows_on_colour_patches_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "patches.h5"
    with writing_store(path, "rgb8", 8) as writer:
        writer.add(1, Record("a"), "main", "split", (1, 1), np.zeros((8, 8, 3), np.uint8))
    with h5py.File(path, "r+") as file:
        file.attrs["windows"] = fixed_text('["lung"]')
    with pytest.raises(ChainError, match="is damaged"):
        len(PatchStore(path))
