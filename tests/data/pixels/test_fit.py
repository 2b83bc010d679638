import numpy as np
import pytest

from data.pixels.bad_patch import BadPatch
from data.pixels.fit import check_mode, to_size


def test_a_patch_of_the_right_size_is_the_very_same(patch):
    pixels = patch(0)
    assert to_size(pixels, 16, resize=True) is pixels


def test_reasons_carry_the_remedy(patch):
    with pytest.raises(BadPatch, match=r"16 x 16 px, the store holds 8: set data.resize: true, or data.size_px: 16"):
        to_size(patch(0), 8, resize=False)
    with pytest.raises(BadPatch, match=r"set data.mode: grey8"):
        check_mode("grey8", "rgb8")
    with pytest.raises(BadPatch, match="not square"):
        to_size(patch(0)[:12], 8, resize=True)


@pytest.mark.parametrize(("channels", "dtype"), [(3, "u1"), (1, "u1"), (1, "u2")])
def test_shrinking_averages_and_growing_interpolates(patch, channels, dtype):
    pixels = patch(1, 16, channels, dtype)
    half = to_size(pixels, 8, resize=True)
    assert half.dtype == pixels.dtype
    oracle = pixels.reshape(8, 2, 8, 2, channels).astype(float).mean((1, 3))
    assert np.abs(half - oracle).max() <= 0.5
    assert to_size(pixels, 24, resize=True).shape == (24, 24, channels)


@pytest.mark.parametrize("size_px", [10, 13, 19, 40])
@pytest.mark.parametrize("slices", [5, 33, 256])
def test_each_slice_of_many_is_resized_as_it_would_be_alone(size_px, slices):
    pixels = np.random.default_rng(0).integers(-1000, 1000, (20, 20, slices)).astype("i2")
    resized = to_size(pixels, size_px, resize=True)
    assert resized.shape == (size_px, size_px, slices)
    for at in (0, slices // 2, slices - 1):
        alone = to_size(np.ascontiguousarray(pixels[:, :, at : at + 1]), size_px, resize=True)
        # OpenCV rounds halves by the number of channels
        assert np.abs(resized[:, :, at].astype(int) - alone[:, :, 0]).max() <= 1
