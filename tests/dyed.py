"""Patches of two known dyes: what a fit of stains must find."""

import numpy as np

HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.20, 0.93, 0.30])


def dyed(first: np.ndarray, second: np.ndarray, strength: float = 1.0, seed: int = 0, size: int = 96) -> np.ndarray:
    """(S, S, 3) uint8: pixels of two dyes by Beer and Lambert's law, some of either alone, a tenth glass."""
    rng = np.random.default_rng(seed)
    amount = rng.gamma(2, 0.35, (size, size, 2)) * strength
    kind = rng.random((size, size))
    amount[kind < 0.25, 1] *= 0.02
    amount[(kind >= 0.25) & (kind < 0.5), 0] *= 0.02
    amount[kind > 0.9] = 0
    density = amount @ np.stack([first / np.linalg.norm(first), second / np.linalg.norm(second)])
    return np.clip(np.rint(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)
