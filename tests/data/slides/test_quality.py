import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from data.number_range import NumberRange
from data.slides.quality import measure, unkept
from data.slides.quality_config import QualityConfig

# one unit of a dye after Ruifrok and Johnston, written out here again
HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])


def dyed(haematoxylin: float, eosin: float, size: int = 64) -> np.ndarray:
    unit = [dye / np.linalg.norm(dye) for dye in (HAEMATOXYLIN, EOSIN)]
    density = haematoxylin * unit[0] + eosin * unit[1]
    return np.broadcast_to(np.rint(256 * np.exp(-density) - 1), (size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize(("haematoxylin", "eosin"), [(0.8, 0.1), (0.2, 0.6), (0.5, 0.5), (1.2, 0.3)])
def test_mean_stain_is_the_density_it_was_drawn_with(haematoxylin, eosin):
    found = measure(dyed(haematoxylin, eosin))
    assert found.stain_h == pytest.approx(haematoxylin, abs=0.03)
    assert found.stain_e == pytest.approx(eosin, abs=0.03)


def test_sharpness_falls_with_every_blur_and_is_the_variance_of_the_laplacian():
    rng = np.random.default_rng(0)
    patch = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), (0, 0), 1)
    steps = [patch, *(cv2.GaussianBlur(patch, (0, 0), s) for s in (0.8, 1.5, 3.0))]
    values = [measure(step).sharpness for step in steps]
    assert values == sorted(values, reverse=True)
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(float)
    padded = np.pad(grey, 1, mode="reflect")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    assert values[0] == pytest.approx(laplacian.var(), rel=1e-6)


def test_tissue_share_counts_coloured_pixels():
    patch = np.full((64, 64, 3), 243, np.uint8)
    assert measure(patch).tissue == 0
    patch[:, :16] = dyed(0.5, 0.5)[:, :16]
    assert measure(patch).tissue == pytest.approx(0.25, abs=0.02)
    assert measure(dyed(0.5, 0.5)).tissue == 1
    assert measure(np.zeros((64, 64, 3), np.uint8)).tissue == 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 224])
@pytest.mark.parametrize("level", [0, 255])
def test_any_size_and_level_gives_finite_numbers(size, level):
    assert np.isfinite(measure(np.full((size, size, 3), level, np.uint8))).all()


def test_unkept_names_the_first_column_out_of_bounds():
    keep = {"sharpness": NumberRange(min=10), "tissue": NumberRange(min=0.2, max=0.9)}
    good = {"sharpness": 10.0, "tissue": 0.9, "stain_h": 0.0, "stain_e": 0.0}
    assert unkept(good, keep) is None
    assert unkept({**good, "sharpness": 9.99}, keep) == "sharpness"
    assert unkept({**good, "tissue": 0.95}, keep) == "tissue"
    assert unkept({**good, "tissue": float("nan")}, keep) == "tissue"


@pytest.mark.parametrize(
    "keep", [{"sharpness": {}}, {"sharpness": {"min": 2, "max": 1}}, {"mpp": {"min": 1}}, {"sharpness": {"mim": 1}}]
)
def test_a_filter_that_filters_nothing_or_everything_is_refused(keep):
    with pytest.raises(ValidationError):
        QualityConfig.model_validate({"keep": keep})
