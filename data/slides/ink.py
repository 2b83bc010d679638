"""Pen marks on a slide: ink is found by hue and by being smooth, then followed to the faint edges of its strokes.

Of the channels' optical densities (R, G, B): haematoxylin, eosin and DAB all absorb green as much as the most or second
most; green ink absorbs it least; blue ink absorbs red far more than blue; red ink absorbs green and blue strongly and
red hardly; black ink absorbs all alike. Where a counterstain or blood comes near, it has the texture of tissue, ink has
none.
"""

import cv2
import numpy as np

_CORE_MM2 = 0.01  # ink that matters is at least this large; less is a nucleus or a speck
_FOLLOW_UM = 100.0  # how far faint ink is followed from its core
_TEXTURE_UM = 40.0
_NEXT = np.ones((3, 3), np.uint8)
_LEAST_SHARE = 0.2  # of the window that must be of the colour: a few pixels say nothing of texture
_SMOOTH = 0.10  # local standard deviation of density, as a share of its mean: strokes of ink lie below


def find_ink(density: np.ndarray, black: np.ndarray, mpp: float, margin_um: float) -> np.ndarray:
    """(H, W) bool, true on ink and margin_um around it.

    density: (H, W, 3) float32 optical density; black: (H, W) bool, too dark for a hue; mpp: microns per pixel.
    """
    found = np.zeros(density.shape[:2], bool)
    mean = density.mean(axis=2)
    for core, faint, rim in _colours(density, black):
        kept = _pieces(core & _is_smooth(mean, core, rim, mpp), _CORE_MM2 * (1000 / mpp) ** 2) if core.any() else core
        if kept.any():
            found |= _follow(kept, (core | faint), _FOLLOW_UM / mpp)
    return _grown(found, margin_um / mpp) if found.any() else found


def _colours(density: np.ndarray, black: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    # (core, faint, whether its rim says nothing of its texture) of green, blue, red and black ink: what comes near to
    # blue is dense nuclei, whose rims are their texture
    r, g, b = density[..., 0], density[..., 1], density[..., 2]
    mean = density.mean(axis=2)
    chroma = density.max(axis=2) - density.min(axis=2)
    green = (np.minimum(r, b) - g > 0.12, np.minimum(r, b) - g > 0.03)
    blue = ((r - b > 0.45) & (r > 1.12 * g) & (mean > 0.35), (r - b > 0.08) & (r > 1.05 * g))
    least = np.minimum(g, b)
    clear = r < 0.3 * least
    # blood absorbs green more than blue; only where it lies thick does it come near
    thick, pure = (least > 1.3) & (b > 0.75 * g), (least > 0.6) & (b > 0.93 * g)
    red = (clear & (thick | pure), clear & (least > 0.1) & (b > 0.6 * g))
    grey = chroma < 0.25 * np.maximum(mean, 1e-6)
    dark = (black | (grey & (mean > 0.9)), black | (grey & (mean > 0.1)))
    return [(*green, True), (*blue, False), (*red, True), (*dark, True)]


def _is_smooth(mean: np.ndarray, core: np.ndarray, without_rim: bool, mpp: float) -> np.ndarray:
    # among the pixels of the colour alone: a stroke may be narrower than the window, and glass lies beside it
    everywhere = core
    if without_rim:
        core = cv2.erode(core.astype(np.uint8), _NEXT) > 0
    side = max(3, 2 * round(_TEXTURE_UM / mpp / 2) + 1)
    inside = core.astype(np.float32)
    share = cv2.blur(inside, (side, side))
    per = 1 / np.maximum(share, 1e-6)
    local = cv2.blur(mean * inside, (side, side)) * per
    spread = np.sqrt(np.maximum(cv2.blur(mean * mean * inside, (side, side)) * per - local * local, 0))
    smooth = core & (spread < _SMOOTH * local + 0.01) & (share >= _LEAST_SHARE)
    if not without_rim:
        return np.asarray(smooth)
    return np.asarray((cv2.dilate(smooth.astype(np.uint8), _NEXT) > 0) & everywhere)


def _pieces(mask: np.ndarray, least_px: float) -> np.ndarray:
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= max(least_px, 4)
    large[0] = False
    return np.asarray(large[pieces])


def _follow(core: np.ndarray, faint: np.ndarray, reach_px: float) -> np.ndarray:
    # faint ink that touches a core, no further from it than reach
    _, pieces = cv2.connectedComponents((faint | core).astype(np.uint8), connectivity=8)
    touched = np.unique(pieces[core])
    near = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5) <= reach_px
    return np.asarray((np.isin(pieces, touched[touched > 0]) & near) | core)


def _grown(mask: np.ndarray, by_px: float) -> np.ndarray:
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= by_px)
