"""CT noise: in Hounsfield units, one draw for all slices, within bounds, keyed by seed."""

import pickle
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augment.ct import CtNoiseDrawer, moved_in_plane, reread, rescanned, turned
from data.augment.drawn import performed
from data.augment.noise import HU, LIGHT, PRESETS, Noise, misplaced
from data.pixels.windows import windowed, windows_of

WINDOWS = windows_of(["lung", "soft_tissue"])
STRONG = Noise(**PRESETS["ct_strong"])


def smooth(depth: int, size: int = 24, seed: int = 0) -> np.ndarray:
    """(S, S, D) int16: another smooth landscape in every slice."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [np.sin(2 * np.pi * (x * a + y * b + c)) for a, b, c in rng.uniform(0.3, 1.2, (depth, 3))]
    return (300 * np.stack(waves, 2) - 200).astype(np.int16)


@pytest.mark.parametrize("depth", [1, 3, 7])
@pytest.mark.parametrize("preset", ["ct_weak", "ct_strong"])
def test_presets_keep_shape_range_and_the_patch_itself(depth: int, preset: str) -> None:
    patch = smooth(depth)
    before = patch.copy()
    draw = CtNoiseDrawer(Noise(**PRESETS[preset]), WINDOWS)
    for seed in range(30):
        drawn = draw(patch, seed)
        assert drawn.shape == (24, 24, 2 * depth)
        assert drawn.dtype == np.float32
        assert drawn.flags.c_contiguous
        assert 0 <= drawn.min() <= drawn.max() <= 1
        assert np.isfinite(drawn).all()
    assert np.array_equal(patch, before)


def test_presets_draw_no_light_and_no_colour() -> None:
    for name in ("ct_weak", "ct_strong"):
        assert not misplaced(Noise(**PRESETS[name]), "hu16")
        assert misplaced(Noise(**PRESETS[name]), "rgb8")
    assert set(misplaced(Noise(**PRESETS["strong"]), "hu16")) <= set(LIGHT)
    assert not set(LIGHT) & set(HU)


def test_no_noise_is_the_windowed_patch() -> None:
    patch = smooth(3)
    assert np.array_equal(CtNoiseDrawer(Noise(), WINDOWS)(patch, 1), windowed(patch, WINDOWS))


def test_draws_are_a_function_of_the_seed_alone() -> None:
    patch, draw = smooth(3), CtNoiseDrawer(STRONG, WINDOWS)
    alone = draw(patch, 7)
    for seed in range(5):
        draw(patch, seed)
    assert np.array_equal(draw(patch, 7), alone)
    assert np.array_equal(pickle.loads(pickle.dumps(draw))(patch, 7), alone)
    assert len({draw(patch, seed).tobytes() for seed in range(20)}) == 20


def test_two_processes_draw_what_one_draws() -> None:
    draw, patch = CtNoiseDrawer(STRONG, WINDOWS), smooth(2)
    with get_context("fork").Pool(2) as pool:
        apart = pool.starmap(draw, [(patch, seed) for seed in range(6)])
    assert all(np.array_equal(one, draw(patch, seed)) for seed, one in enumerate(apart))


def test_equal_slices_stay_equal_whatever_is_drawn_but_grain() -> None:
    """Nothing shifts the balance of the slices of a patch: they are one body."""
    one = smooth(1)
    patch = np.repeat(one, 5, axis=2)
    draw = CtNoiseDrawer(STRONG.model_copy(update={"grain_hu": 0.0}), WINDOWS)
    for seed in range(30):
        drawn = draw(patch, seed).reshape(24, 24, 2, 5)
        assert np.array_equal(drawn, np.repeat(drawn[:, :, :, :1], 5, axis=3))


def test_grain_is_of_every_voxel_and_of_no_mean() -> None:
    patch = np.zeros((64, 64, 4), np.int16)
    for seed in range(10):
        grainy = performed(patch, rescanned(patch.shape, Noise(grain_hu=20.0), np.random.default_rng(seed))).astype(
            np.float64
        )
        assert grainy.std() <= 20 * 1.05
        assert np.abs(grainy.mean(axis=(0, 1))).max() <= 20 * 5 / 64
        if grainy.any():
            assert abs(np.corrcoef(grainy[:, :, 0].ravel(), grainy[:, :, 1].ravel())[0, 1]) < 0.1


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_calibration_stays_within_its_bounds_and_air_stays_air(seed: int) -> None:
    patch = smooth(2)
    noise = Noise(intensity_scale=0.02)
    scaled = performed(patch, rescanned(patch.shape, noise, np.random.default_rng(seed)))
    assert (np.abs(scaled - patch) <= 0.02 * (patch + 1000.0) + 1e-3).all()
    air = np.full((2, 2, 1), -1000, np.int16)
    np.testing.assert_allclose(performed(air, rescanned(air.shape, noise, np.random.default_rng(seed))), air, atol=1e-3)
    shifted = (
        performed(patch, rescanned(patch.shape, Noise(intensity_shift_hu=10.0), np.random.default_rng(seed))) - patch
    )
    assert np.ptp(shifted) < 1e-3
    assert np.abs(shifted).max() <= 10 + 1e-3


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_windows_are_jittered_together_and_exactly_in_hu(seed: int) -> None:
    drawn = reread(WINDOWS, Noise(window_level=0.05, window_width=0.15), np.random.default_rng(seed))
    level = {round((new.level_hu - old.level_hu) / old.width_hu, 12) for new, old in zip(drawn, WINDOWS, strict=True)}
    width = {round(new.width_hu / old.width_hu - 1, 12) for new, old in zip(drawn, WINDOWS, strict=True)}
    assert len(level) == len(width) == 1
    assert abs(level.pop()) <= 0.05
    assert abs(width.pop()) <= 0.15
    patch = smooth(1)
    expected = [np.clip((patch[:, :, 0] - w.level_hu) / w.width_hu + 0.5, 0, 1) for w in drawn]
    np.testing.assert_allclose(windowed(patch, drawn), np.stack(expected, 2), atol=1e-5)


def test_flips_and_turns_only_move_voxels() -> None:
    patch, noise = smooth(4), Noise(flips=True, quarter_turns=True, slice_flip=True)
    seen = set()
    for seed in range(200):
        drawn = performed(patch, turned(patch.shape, noise, np.random.default_rng(seed)))
        assert np.array_equal(np.sort(drawn, None), np.sort(patch, None))
        seen.add(np.ascontiguousarray(drawn).tobytes())
    assert len(seen) == 16  # eight symmetries of the square, two orders of the slices


def test_slices_move_whole_and_the_outermost_is_repeated() -> None:
    patch = smooth(5)
    for seed in range(20):
        drawn = performed(patch, turned(patch.shape, Noise(slice_shift=2), np.random.default_rng(seed)))
        fits = [by for by in range(-2, 3) if np.array_equal(drawn, patch[:, :, np.clip(np.arange(5) + by, 0, 4)])]
        assert len(fits) == 1


def test_a_move_never_leaves_the_range_of_the_patch_nor_its_middle() -> None:
    """A finding in the middle stays in the patch: the label goes on being true."""
    patch = np.full((33, 33, 6), -800, np.int16)
    patch[14:19, 14:19] = 100
    noise = Noise(rotate_deg=15.0, scale=0.15, shift=0.08, crop=0.1)
    for seed in range(100):
        drawn = performed(patch, moved_in_plane(patch.shape, noise, np.random.default_rng(seed)))
        assert drawn.min() >= -800.01
        assert drawn.max() <= 100.01
        assert (drawn > -350).sum(axis=(0, 1)).min() >= 12


def test_a_move_is_the_one_that_is_stated() -> None:
    """Independent oracle: SciPy interpolates at the places that the inverse of the drawn map gives."""
    from scipy.ndimage import map_coordinates

    patch = smooth(6, 40)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noise = Noise(rotate_deg=20.0, scale=0.2, shift=0.1)
        drawn = performed(patch, moved_in_plane(patch.shape, noise, np.random.default_rng(seed)))
        angle, zoom = np.radians(20) * rng.uniform(-1, 1), 1 + 0.2 * rng.uniform(-1, 1)
        shift = 0.1 * rng.uniform(-1, 1, 2) * 40
        if rng.random() >= 0.8:
            assert np.array_equal(drawn, patch)
            continue
        y, x = np.mgrid[:40, :40] - 19.5
        back_x = (np.cos(angle) * x - np.sin(angle) * y) / zoom - shift[0] + 19.5
        back_y = (np.sin(angle) * x + np.cos(angle) * y) / zoom - shift[1] + 19.5
        for depth in range(6):
            expected = map_coordinates(patch[:, :, depth].astype(float), [back_y, back_x], order=1, mode="mirror")
            # OpenCV interpolates at 1/32 px
            np.testing.assert_allclose(drawn[:, :, depth], expected, atol=300 * 2 * np.pi * 1.7 / 40 / 16)


def test_the_hole_goes_through_every_channel() -> None:
    patch = np.zeros((20, 20, 3), np.int16)  # never half grey through either window
    holed = 0
    for seed in range(30):
        drawn = CtNoiseDrawer(Noise(cutout=0.4), WINDOWS)(patch, seed)
        hole = drawn == 0.5
        assert (hole == hole[:, :, :1]).all()
        assert hole[:, :, 0].sum() <= 64
        holed += bool(hole.any())
    assert 15 < holed < 30


def test_of_a_choice_only_what_was_chosen_is_drawn() -> None:
    """Constant HU: a shift moves every voxel alike, grain each by itself; one alone never does both."""
    flat = np.full((16, 16, 3), -600, np.int16)
    noise = Noise(intensity_shift_hu=50.0, grain_hu=50.0, choose=1)
    drawer = CtNoiseDrawer(noise, windows_of([[-600, 400]]))
    shifted, grainy = 0, 0
    for seed in range(60):
        image = drawer(flat, seed)
        alike, centred = np.ptp(image) < 1e-6, abs(float(image.mean()) - 0.5) < 0.02
        assert alike or centred, "both at once"
        shifted += alike and float(image.mean()) != 0.5
        grainy += not alike
    assert shifted > 10
    assert grainy > 10
