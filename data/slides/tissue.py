"""Tissue on a thumbnail: what is coloured by a stain, and neither ink, glass nor the scanner's black.

Tissue absorbs one colour more than another whatever the dye: haematoxylin and eosin let red or blue through, DAB lets
red through. Dust, shadows, coverslip edges and uneven light absorb all colours alike. So the evidence for tissue is
chroma in optical density (the largest minus the smallest density of the three channels), thresholded after Otsu (1979)
between a floor (an empty slide is not split) and a ceiling (a slide full of tissue is not split either).
"""

import cv2
import numpy as np

from data.slides.ink import find_ink
from data.slides.tissue_config import TissueConfig

# darker than this in every channel is no stain: the scanner's border, or the pen
BLACK = 55
PLAIN_LIGHT = 245.0  # of glass where none is seen
_GLASS_FLOOR = 200  # the light of bare glass is never taken to be darker


def segment(thumbnail: np.ndarray, mpp_thumb: float, config: TissueConfig) -> np.ndarray:
    """(H, W) bool, true on tissue. thumbnail: (H, W, 3) uint8 RGB on white; mpp_thumb: its microns per pixel."""
    if config.everything:
        return np.ones(thumbnail.shape[:2], bool)
    density = optical_density(thumbnail, glass_light(thumbnail))
    black = _brightest(thumbnail) < BLACK
    chroma = _chroma(density)
    chroma[black] = 0
    smooth = _smoothed(chroma, config.smooth_um / mpp_thumb)
    refused = _without_specks(black, config.max_hole_mm2 * (1000 / mpp_thumb) ** 2)  # a dark nucleus is no border
    if config.reject_pen:
        refused = refused | find_ink(density, black, mpp_thumb, config.pen_margin_um)
    threshold = otsu(smooth[~(refused | black)], config.min_density, max(config.min_density, config.max_density))
    found = (smooth > threshold) & ~refused
    px_per_mm2 = (1000 / mpp_thumb) ** 2
    found = _without_specks(found, config.min_area_mm2 * px_per_mm2)
    filled = ~_without_specks(~found, config.max_hole_mm2 * px_per_mm2)
    return np.asarray(filled & ~refused)


def tissue_evidence(image: np.ndarray) -> np.ndarray:
    """(H, W) float32 chroma in optical density of (H, W, 3) uint8 RGB on glass of any light; black is none."""
    chroma = _chroma(cv2.LUT(image, _PLAIN_GLASS))
    chroma[_brightest(image) < BLACK] = 0
    return chroma


def glass_light(thumbnail: np.ndarray) -> np.ndarray:
    """(3,) light of bare glass: the median of the brightest, least coloured tenth, never darker than _GLASS_FLOOR."""
    flat = thumbnail.reshape(-1, 3)
    light, colour = flat.min(axis=1), flat.max(axis=1) - flat.min(axis=1)
    clear = flat[(light >= _GLASS_FLOOR) & (colour <= 30)]
    if len(clear) < max(16, len(flat) // 200):
        return np.full(3, PLAIN_LIGHT)  # no glass to be seen: all tissue, or all border
    brightest = clear[clear.sum(axis=1) >= np.percentile(clear.sum(axis=1), 75)]
    return np.asarray(np.maximum(np.median(brightest, axis=0), _GLASS_FLOOR), dtype=np.float64)


def optical_density(image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32, 0 on glass. image: uint8; light: (3,) of bare glass. Very dark pixels are held at a cap."""
    return np.asarray(cv2.LUT(image, _density_table(light)))


def _density_table(light: np.ndarray) -> np.ndarray:
    # (1, 256, 3); below some 12 grey levels quantisation makes colours out of black
    levels = np.maximum(np.arange(256), 12)[:, None]
    return np.maximum(-np.log((levels + 1.0) / (light + 1.0)), 0).astype(np.float32)[None]


_PLAIN_GLASS = _density_table(np.full(3, PLAIN_LIGHT))


def _chroma(density: np.ndarray) -> np.ndarray:
    # channel by channel: numpy is slow over an axis of three
    r, g, b = cv2.split(density)
    return np.asarray(cv2.max(cv2.max(r, g), b) - cv2.min(cv2.min(r, g), b))


def _brightest(image: np.ndarray) -> np.ndarray:
    r, g, b = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(r, g), b))


def otsu(values: np.ndarray, floor: float, ceiling: float) -> float:
    """Otsu's threshold of non-negative values, held within [floor, ceiling]; the ceiling where there are none."""
    counts, edges = np.histogram(values, bins=256, range=(0.0, max(1.0, 4 * ceiling)))
    total = counts.sum()
    if total == 0:
        return ceiling
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    mass = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mass[-1] * below - mass * total) ** 2 / (below * (total - below).astype(np.float64))
    best = float(edges[1:][int(np.nanargmax(np.where(np.isfinite(between), between, -1)))])
    return float(np.clip(best, floor, ceiling))


def _smoothed(values: np.ndarray, sigma_px: float) -> np.ndarray:
    if sigma_px < 0.3:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101))


def _without_specks(mask: np.ndarray, least_px: float) -> np.ndarray:
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= least_px
    large[0] = False  # the background
    assert count == len(large)
    return np.asarray(large[pieces])
