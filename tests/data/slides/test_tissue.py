"""Tissue on drawn thumbnails whose truth is known, as overlap (intersection over union)."""

import cv2
import numpy as np
import pytest

from data.slides.tissue import otsu, segment
from data.slides.tissue_config import TissueConfig

MPP = 8.0
SHAPE = (480, 640)  # 3.8 x 5.1 mm
# RGB optical density of one unit of dye
HAEMATOXYLIN, EOSIN, DAB = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11]), np.array([0.27, 0.57, 0.78])
INKS = {"blue": (35, 60, 170), "green": (30, 130, 70), "red": (205, 35, 45), "black": (45, 42, 48)}


def blob(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(H, W) bool: a piece of tissue with a ragged edge in the middle of the slide."""
    h, w = shape
    y, x = np.mgrid[:h, :w]
    wave = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 20) * 25
    return np.hypot((y - h / 2) / (h * 0.3), (x - w * 0.45) / (w * 0.28)) + wave * 0.1 < 1


def grain(rng: np.random.Generator, share: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    # nuclei and fibres, averaged over 8 um
    fine = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 1.2)
    return np.clip(1 + share * fine / fine.std(), 0.05, None)


def photo(rng: np.random.Generator, density: np.ndarray, glass: tuple[int, int, int] = (244, 243, 242)) -> np.ndarray:
    light = (np.array(glass) + 1) * np.exp(-density) - 1 + rng.normal(0, 1.5, density.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


def stained(rng: np.random.Generator, mask: np.ndarray, *dyes: tuple[np.ndarray, float]) -> np.ndarray:
    density = np.zeros((*mask.shape, 3))
    for dye, amount in dyes:
        density += (amount * grain(rng, 0.3, mask.shape) * mask)[..., None] * dye
    return density


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return (found & truth).sum() / max(1, (found | truth).sum())


STAINS = {
    "haematoxylin and eosin": ((HAEMATOXYLIN, 0.5), (EOSIN, 0.5)),
    "pale eosin": ((HAEMATOXYLIN, 0.05), (EOSIN, 0.16)),
    "pale counterstain without DAB": ((HAEMATOXYLIN, 0.28),),
    "dense lymphoid counterstain": ((np.array([0.75, 0.62, 0.25]), 1.3),),
    "blue counterstain": ((np.array([0.75, 0.62, 0.25]), 0.4),),
    "strong DAB": ((HAEMATOXYLIN, 0.25), (DAB, 1.2)),
    "weak DAB": ((HAEMATOXYLIN, 0.12), (DAB, 0.2)),
}


@pytest.mark.parametrize("stain", STAINS)
def test_tissue_of_any_stain_is_found_and_glass_is_not(stain: str) -> None:
    rng = np.random.default_rng(1)
    truth = blob(rng)
    found = segment(photo(rng, stained(rng, truth, *STAINS[stain])), MPP, TissueConfig())
    assert overlap(found, truth) > 0.93


@pytest.mark.parametrize("ink", INKS)
def test_a_stroke_narrower_than_the_texture_of_tissue_is_ink_too(ink: str) -> None:
    # 32 um; what is blue is also near to dense nuclei: there it takes 40 to be sure
    px = 5 if ink == "blue" else 4
    rng = np.random.default_rng(4)
    cover = np.zeros(SHAPE, np.uint8)
    cv2.polylines(cover, [np.array([[600, 40], [590, 200], [610, 440]])], False, 255, px, cv2.LINE_AA)
    share = (cover / 255.0)[..., None]
    truth = blob(rng)
    density = stained(rng, truth, *STAINS["haematoxylin and eosin"])
    density += share * -np.log((np.array(INKS[ink]) + 1.0) / 244)
    found = segment(photo(rng, density), MPP, TissueConfig())
    assert not found[cover > 128].any()
    assert overlap(found, truth) > 0.93


@pytest.mark.parametrize("mpp", [2.0, 16.0, 32.0])
def test_the_settings_are_physical(mpp: float) -> None:
    rng = np.random.default_rng(2)
    truth = blob(rng)
    found = segment(photo(rng, stained(rng, truth, *STAINS["haematoxylin and eosin"])), mpp, TissueConfig())
    assert overlap(found, truth) > 0.9


def test_brown_and_blue_in_one_section_are_both_tissue() -> None:
    rng = np.random.default_rng(3)
    truth = blob(rng)
    left = truth & (np.arange(SHAPE[1]) < SHAPE[1] // 2)
    density = stained(rng, left, (DAB, 1.0)) + stained(rng, truth & ~left, (HAEMATOXYLIN, 0.3))
    assert overlap(segment(photo(rng, density), MPP, TissueConfig()), truth) > 0.93


@pytest.mark.parametrize("tint", [(244, 243, 242), (250, 246, 232), (225, 228, 238), (255, 255, 255)])
def test_empty_glass_of_any_tint_and_light_is_no_tissue(tint: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(4)
    shade = np.linspace(0, 0.12, SHAPE[1])[None, :, None] * np.ones((*SHAPE, 3))
    dust = cv2.GaussianBlur((rng.random(SHAPE) > 0.9995).astype(float), (0, 0), 1.0)[..., None] * np.array(
        [4, 3.8, 3.6]
    )
    coverslip = cv2.line(np.zeros(SHAPE), (100, 0), (110, SHAPE[0]), 0.25, 2)[..., None] * np.ones(3)
    image = photo(rng, shade + dust + coverslip, tint)
    assert segment(image, MPP, TissueConfig()).mean() < 0.002


def test_a_slide_full_of_tissue_is_all_tissue() -> None:
    rng = np.random.default_rng(5)
    full = np.ones(SHAPE, bool)
    density = stained(rng, full, (HAEMATOXYLIN, 0.3), (EOSIN, 0.3))
    density[:, : SHAPE[1] // 2] *= 2.5
    assert segment(photo(rng, density), MPP, TissueConfig()).mean() > 0.99


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("stain", ["haematoxylin and eosin", "pale counterstain without DAB", "blue counterstain"])
def test_pen_is_rejected_beside_and_upon_tissue(ink: str, stain: str) -> None:
    rng = np.random.default_rng(6)
    truth = blob(rng)
    image = photo(rng, stained(rng, truth, *STAINS[stain]))
    pen = np.zeros(SHAPE, np.uint8)
    cv2.ellipse(pen, (288, 240), (255, 190), 0, 0, 300, 255, 60, cv2.LINE_AA)  # a ring around the piece
    cv2.line(pen, (560, 60), (620, 420), 255, 40, cv2.LINE_AA)
    cv2.line(pen, (0, 200), (420, 290), 255, 36, cv2.LINE_AA)  # and straight across it
    cover = cv2.GaussianBlur(pen, (0, 0), 2)[..., None] / 255
    inked = np.clip(image * (1 - cover) + np.array(INKS[ink]) * cover + rng.normal(0, 1, image.shape), 0, 255)
    found = segment(inked.astype(np.uint8), MPP, TissueConfig())
    under = pen > 0
    assert (found & under).sum() / under.sum() < 0.03
    assert overlap(found, truth & ~under) > 0.85
    # and it is the pen rule that does it
    if ink != "black":
        kept = segment(inked.astype(np.uint8), MPP, TissueConfig(reject_pen=False))
        assert (kept & under).sum() / under.sum() > 0.9


@pytest.mark.parametrize("colour", [(200, 62, 85), (215, 80, 100), (222, 115, 165), (120, 70, 35), (95, 65, 145)])
def test_blood_colloid_and_dense_dye_are_no_ink_however_smooth(colour: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(10)
    truth = blob(rng)
    image = photo(rng, stained(rng, truth, *STAINS["haematoxylin and eosin"]))
    image[200:280, 240:340] = np.clip(np.array(colour) + rng.normal(0, 2, (80, 100, 3)), 0, 255)  # 0.5 mm2
    assert segment(image, MPP, TissueConfig())[205:275, 245:335].mean() > 0.95


def test_the_scanners_black_border_is_no_tissue() -> None:
    rng = np.random.default_rng(7)
    truth = blob(rng)
    image = photo(rng, stained(rng, truth, *STAINS["haematoxylin and eosin"]))
    image[:40], image[:, :50], image[:, -30:] = rng.integers(0, 9, (3, 1, 1, 1))
    border = np.zeros(SHAPE, bool)
    border[:40], border[:, :50], border[:, -30:] = True, True, True
    found = segment(image, MPP, TissueConfig())
    assert not (found & border).any()
    assert overlap(found, truth & ~border) > 0.93


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_grey_is_no_tissue(level: int) -> None:
    assert not segment(np.full((60, 80, 3), level, np.uint8), MPP, TissueConfig()).any()


def test_small_holes_are_filled_and_specks_dropped() -> None:
    rng = np.random.default_rng(8)
    truth = np.zeros(SHAPE, bool)
    truth[100:400, 100:500] = True
    drawn = truth.copy()
    drawn[200:206, 200:206] = False  # 0.002 mm2
    drawn[250:330, 300:380] = False  # 0.41 mm2: a lumen
    truth[250:330, 300:380] = False
    drawn[40:46, 40:46] = True
    found = segment(photo(rng, stained(rng, drawn, *STAINS["haematoxylin and eosin"])), MPP, TissueConfig())
    assert found[203, 203]
    assert not found[43, 43]
    assert not found[290, 340]
    assert overlap(found, truth) > 0.95


def test_everything_takes_the_whole_slide() -> None:
    assert segment(np.full((20, 30, 3), 255, np.uint8), MPP, TissueConfig(everything=True)).all()


def test_otsu_divides_two_heaps_and_stays_within_its_bounds() -> None:
    rng = np.random.default_rng(9)
    values = np.concatenate([rng.normal(0.02, 0.005, 5000), rng.normal(0.3, 0.05, 2000)]).clip(0)
    assert 0.04 < otsu(values, 0.01, 0.9) < 0.25
    assert otsu(values, 0.25, 0.9) >= 0.25
    assert otsu(values, 0.01, 0.05) <= 0.05
    assert otsu(np.empty(0), 0.05, 0.12) == 0.12
