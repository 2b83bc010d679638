"""Stain jitter in optical density: how much haematoxylin and eosin a patch took, not what colour they are.

Colour deconvolution after Ruifrok and Johnston (2001); jitter as in Tellez et al. (2018): each stain's
density is scaled and shifted. It is one 3 x 3 matrix on log intensities, so it costs a matrix product.
"""

import math

import cv2
import numpy as np

# rows: RGB optical density of haematoxylin, eosin, and what is left (Ruifrok and Johnston 2001)
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)
UNMIX = np.linalg.inv(STAINS)
DENSITY_OF = -np.log((np.arange(256) + 1.0) / 256.0).astype(np.float32)


def jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """One random restaining. image: (H, W, 3) uint8 RGB; returns the same shape and type."""
    return restained(image, **drawn(strength, rng))


def drawn(strength: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """For `restained`: each density is scaled by 1 +- strength and shifted by +- strength / 4 (uniform draws)."""
    scale = 1 + strength * rng.uniform(-1, 1, 3)
    shift = strength / 4 * rng.uniform(-1, 1, 3)
    return {"mix": (UNMIX * scale) @ STAINS, "shift": shift @ STAINS}  # unmix, scale each stain, mix again


def restained(image: np.ndarray, mix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The patch whose optical densities are `density @ mix + shift`, rounded to 8 bits and clipped.

    image: (H, W, 3) uint8 RGB; mix: (3, 3); shift: (3,); density = -ln((value + 1) / 256). Same shape and type.
    """
    logarithm = cv2.transform(cv2.LUT(image, DENSITY_OF.reshape(1, 256)), mixing(mix, shift))
    cv2.threshold(logarithm, 0.0, 0.0, cv2.THRESH_TOZERO, dst=logarithm)  # nothing is darker than black
    light = cv2.exp(logarithm, dst=logarithm)
    # rounds and clips in the same pass, in a quarter of the time that OpenCV's subtraction into 8 bits takes
    seen: np.ndarray = cv2.convertScaleAbs(light, alpha=1.0, beta=-1.0)
    return seen


def mixing(mix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(3, 4) float32: from a density to the logarithm of 1 + what is seen, the last column added."""
    # 256 exp(-density) = exp(ln 256 - density): the factor rides on the shift, the sign on the matrix
    found = np.empty((3, 4), np.float32)
    found[:, :3], found[:, 3] = -mix.T, math.log(256) - shift
    return found
