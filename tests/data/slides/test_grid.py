"""Laws of the grid, against counting pixel by pixel and exact fractions."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data.errors import ChainError, ExitCode
from data.slides.grid import GridConfig, lay, positions, side_px, tissue_shares
from data.slides.preparation import Slides

MPP = st.sampled_from(["0.25", "0.2525", "0.499", "0.5", "0.5031", "1", "1.9961", "2", "4.1"])


@given(
    width=st.integers(1, 20_000), height=st.integers(1, 3_000), mpp0=MPP, mpp=MPP,
    size=st.integers(1, 512), overlap=st.integers(0, 400), seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_no_patch_leaves_the_slide_and_the_order_is_row_major(width, height, mpp0, mpp, size, overlap, seed):
    stride = max(size - overlap, 64)
    mask = np.random.default_rng(seed).random((7, 11)) > 0.4
    down = width / 11, height / 7
    grid = lay((width, height), float(mpp0), float(mpp), size, stride, mask, down)
    side = side_px(size, float(mpp0), float(mpp))
    assert grid.xy_px.dtype == np.int64
    assert (grid.xy_px >= 0).all()
    if len(grid.xy_px):
        assert (grid.xy_px.max(axis=0) + side <= np.array([width, height]) + 1e-6).all()
    order = np.lexsort((grid.xy_px[:, 0], grid.xy_px[:, 1]))
    assert np.array_equal(order, np.arange(len(order)))
    assert len(np.unique(grid.xy_px, axis=0)) == len(grid.xy_px)
    assert ((grid.tissue >= 0) & (grid.tissue <= 1)).all()


@given(length=st.integers(100, 300_000), mpp0=MPP, mpp=MPP, size=st.integers(64, 512), stride=st.integers(32, 512))
@settings(max_examples=150, deadline=None)
def test_positions_never_drift_from_the_exact_step_and_none_is_missing(length, mpp0, mpp, size, stride):
    step, side = (Fraction(n) * Fraction(mpp) / Fraction(mpp0) for n in (stride, size))
    found = positions(length, float(side), float(step))
    assert all(abs(Fraction(int(x)) - i * step) <= Fraction(1, 2) + Fraction(1, 10**6) for i, x in enumerate(found))
    # the next one would not fit
    assert math.floor(len(found) * step + Fraction(1, 2)) + math.ceil(side - Fraction(1, 10**6)) > length - (
        1 if (len(found) * step).denominator == 2 else 0
    )


def test_a_patch_as_large_as_the_slide_fits_once_and_a_larger_one_never():
    mask = np.ones((4, 4), bool)
    assert len(lay((448, 448), 0.25, 0.5, 224, 224, mask, 112.0).xy_px) == 1
    assert len(lay((447, 448), 0.25, 0.5, 224, 224, mask, 112.0).xy_px) == 0


def test_a_whole_step_gives_the_plain_grid():
    grid = lay((1000, 700), 0.5, 0.5, 224, 200, np.ones((7, 10), bool), 100.0)
    assert grid.xy_px.tolist() == [[x, y] for y in (0, 200, 400) for x in (0, 200, 400, 600)]
    assert (grid.tissue == 1).all()


@given(seed=st.integers(0, 10_000), down=st.integers(1, 9), side=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_tissue_shares_are_what_counting_pixels_gives(seed, down, side):
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 12), rng.integers(1, 12))) > 0.5
    full = np.zeros((400, 400), bool)
    full[: mask.shape[0] * down, : mask.shape[1] * down] = mask.repeat(down, 0).repeat(down, 1)
    xy = rng.integers(0, 100, (20, 2))
    counted = [full[y : y + side, x : x + side].mean() for x, y in xy]
    assert np.allclose(tissue_shares(xy, side, mask, down), counted, atol=1e-6)


def test_min_tissue_keeps_what_has_exactly_that_share():
    mask = np.zeros((4, 4), bool)
    mask[:, :1] = True  # the left quarter
    grid = lay((400, 400), 1.0, 1.0, 200, 200, mask, 100.0, min_tissue=0.5)
    assert grid.xy_px.tolist() == [[0, 0], [0, 200]]
    assert grid.tissue.tolist() == [0.5, 0.5]


def test_a_grid_beyond_reason_is_refused_by_its_number():
    with pytest.raises(ChainError, match=r"the grid has [\d,]+ patches") as caught:
        lay((200_000, 200_000), 0.25, 0.25, 32, 1, np.ones((2, 2), bool), 100_000.0)
    assert caught.value.code == ExitCode.MISMATCH
    with pytest.raises(ChainError):
        lay((10**9, 10**9), 1e-3, 1e-6, 1, 1, np.ones((2, 2), bool), 5e8)


def test_an_overlap_that_stands_still_is_refused_with_the_configuration():
    assert GridConfig(overlap_px=24).stride_px(224) == 200
    with pytest.raises(ValidationError, match="overlap_px: 224 is not less than size_px: 224"):
        Slides(path=Path("slides"), mpp=0.5, size_px=224, grid=GridConfig(overlap_px=224))
