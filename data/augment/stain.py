"""Stain jitter in optical density: how much haematoxylin and eosin a patch took, not what colour they are.

Colour deconvolution after Ruifrok and Johnston (2001); jitter as in Tellez et al. (2018): each stain's
density is scaled and shifted. It is one 3 x 3 matrix on log intensities, so it costs a matrix product.
"""

import numpy as np

# rows: RGB optical density of haematoxylin, eosin, and what is left (Ruifrok and Johnston 2001)
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)
UNMIX = np.linalg.inv(STAINS)
DENSITY_OF = -np.log((np.arange(256) + 1.0) / 256.0).astype(np.float32)


def jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """One random restaining. image: (H, W, 3) uint8 RGB; returns the same shape and type.

    `strength`: each density is scaled by 1 +- strength and shifted by +- strength / 4 (uniform draws).
    """
    scale = 1 + strength * rng.uniform(-1, 1, 3)
    shift = strength / 4 * rng.uniform(-1, 1, 3)
    mix = (UNMIX * scale) @ STAINS  # unmix, scale each stain, mix again
    density = DENSITY_OF[image].reshape(-1, 3) @ mix.astype(np.float32) + (shift @ STAINS).astype(np.float32)
    restained: np.ndarray = np.clip(256.0 * np.exp(-density) - 1.0, 0, 255)
    return restained.astype(np.uint8).reshape(image.shape)
