"""Windows: exactly the map that is stated, in the order of channels that is stated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data.config import DataConfig
from data.pixels.windows import STANDARD, Window, windowed, windows_of

LEVELS, WIDTHS = st.floats(-1000, 3000), st.floats(1, 4000)


@given(LEVELS, WIDTHS, st.integers(0, 2**31))
def test_a_window_is_the_stated_map(level: float, width: float, seed: int) -> None:
    hu = np.random.default_rng(seed).integers(-1100, 3100, (5, 5, 2)).astype(np.int16)
    (window,) = windows_of([(level, width)])
    expected = np.clip((hu.astype(np.float64) - level) / width + 0.5, 0, 1)
    seen = windowed(hu, [window])
    assert seen.dtype == np.float32
    # float32 holds 7 digits of HU / width
    np.testing.assert_allclose(seen, expected, atol=1e-6 * max(1, 4000 / width))


@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_window_is_black_and_white_at_its_ends(name: str) -> None:
    level, width = STANDARD[name]
    ends = np.array([level - width / 2, level, level + width / 2]).reshape(1, 3, 1)
    np.testing.assert_allclose(windowed(ends, windows_of([name])).ravel(), [0, 0.5, 1], atol=1e-6)


def test_channels_are_windows_of_slices() -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, (4, 4, 3)).astype(np.int16)
    both = windows_of(["lung", [40, 400]])
    seen = windowed(hu, both)
    assert seen.shape == (4, 4, 6)
    for number, window in enumerate(both):
        for depth in range(3):
            alone = windowed(hu[:, :, depth : depth + 1], [window])[:, :, 0]
            assert np.array_equal(seen[:, :, number * 3 + depth], alone)


def test_what_is_written_is_read_back() -> None:
    some = windows_of(["lung", [40, 400], {"level_hu": 0, "width_hu": 10}])
    assert windows_of([window.model_dump() for window in some]) == some


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("lungs", "no window is called 'lungs'"),
        ([1, 2, 3], "not 3 numbers"),
        ([40, 0], "greater than 0"),
        ([40, float("nan")], "width_hu"),
        ([float("inf"), 10], "less than or equal"),
        ({"name": "lung", "level_hu": 0, "width_hu": 5}, "the window 'lung' is level -600"),
    ],
)
def test_a_window_that_is_none_is_refused(setting: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        windows_of([setting])


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"mode": "hu16"}, "needs windows"),
        ({"mode": "rgb8", "windows": ["lung"]}, "windows go with mode: hu16"),
        ({"mode": "grey16", "windows": ["lung"]}, "windows go with mode: hu16"),
    ],
)
def test_windows_are_of_hu_and_hu_of_windows(keys: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        DataConfig.model_validate({"sources": [{"kind": "synthetic"}], "size_px": 24} | keys)


def test_jitter_is_exact_in_hu() -> None:
    window = Window(level_hu=40, width_hu=400)
    other = window.jittered(0.05, -0.1)
    assert (other.level_hu, other.width_hu) == (40 + 20, 400 * 0.9)
    assert other.name is None
