"""Stand-ins for slides where a set names none: clusters of stain and of frozen features.

Patches of one slide share its stain, scanner and tissue. Where nobody wrote down which patches these are, patches that
look alike in both are the best guess: k-means (Lloyd 1982) on mean and spread of optical density a channel, and on the
first principal components of the frozen features. Labels have no part in it. Whole clusters are then held out, so that
what is judged differs in stain and look from everything that was trained on. What this does not stand for: another
hospital, another scanner, or the correlation of label and slide in a real collection.
"""

import numpy as np

PATCHES_A_CLUSTER = 160  # about what a slide gives at this magnification in such sets
MOST_CLUSTERS = 200
COMPONENTS = 16


def optical_density(pixels: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of -log10(I / 256) a channel. pixels: (H, W, C) uint8 -> (2 C,) float64."""
    density = -np.log10((pixels.astype(np.float64) + 1) / 256)
    return np.concatenate([density.mean(axis=(0, 1)), density.std(axis=(0, 1))])


def embedded(stain: np.ndarray, features: np.ndarray, components: int = COMPONENTS) -> np.ndarray:
    """Stain (N, A) and features (N, D) side by side, each block with a total variance of 1: (N, A + components)."""
    return np.concatenate([_unit(_scaled(stain)), _unit(_principal(features, components))], axis=1)


def clustered(points: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """K-means clusters of (N, A), numbered by their first member: (N,) int64. The same points, the same clusters."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=4, random_state=seed).fit_predict(points.astype(np.float64))
    names, first, code = np.unique(found, return_index=True, return_inverse=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(first)] = np.arange(len(names))
    numbered: np.ndarray = rank[code]
    return numbered


def count_for(patches: int) -> int:
    """How many clusters stand for the slides of so many patches."""
    return max(8, min(MOST_CLUSTERS, patches // PATCHES_A_CLUSTER))


def _principal(features: np.ndarray, components: int) -> np.ndarray:
    # the exact decomposition of the (D, D) covariance: no random start, so the same on every call
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    vectors = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :components]
    found: np.ndarray = centred @ vectors
    return found


def _scaled(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    scaled: np.ndarray = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled


def _unit(values: np.ndarray) -> np.ndarray:
    total = float(values.var(axis=0).sum())
    scaled: np.ndarray = (values - values.mean(axis=0)) / np.sqrt(total if total > 0 else 1.0)
    return scaled
