"""Stand-ins for slides where a set names none: within each class, clusters of colour.

A slide has one stain, one scanner and mostly one diagnosis. So the patches of each class are grouped by k-means (Lloyd
1982) on the principal components of their colour histograms, and whole groups are held out: what is judged then has,
for its class, colours that were not trained on, while another class may well have them. Clusters made over all classes
together fail at this: nearly every held-out colour still belongs to the class it was trained with.

GROUPS_A_CLASS is set by what is known of crc5 and by nothing of ours: there a classifier that sees colour alone scores
0.95 on patches held out at random, and 0.57 on slides that are not in the set. Such a classifier is a row of every
table, so what it scores on this hold-out can be seen. What this does not stand for: another hospital, or a
patient's second slide.
"""

import numpy as np

GROUPS_A_CLASS = 8
COMPONENTS = 10
BITS, JOINT_BITS = 5, 3  # levels of a channel, and of the three together


def colours(pixels: np.ndarray) -> np.ndarray:
    """Shares of the levels of each channel, and of the channels together. pixels: (H, W, C) uint8 -> (D,) float32."""
    flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.int64)
    alone = [np.bincount(channel >> (8 - BITS), minlength=1 << BITS) for channel in flat.T]
    code = np.zeros(len(flat), np.int64)
    for channel in flat.T:
        code = (code << JOINT_BITS) | (channel >> (8 - JOINT_BITS))
    together = np.bincount(code, minlength=1 << (JOINT_BITS * flat.shape[1]))
    return (np.concatenate([*alone, together]) / len(flat)).astype(np.float32)


def grouped(histograms: np.ndarray, label: np.ndarray, seed: int = 0) -> np.ndarray:
    """Groups of colour within each class, numbered by their first member: (N,) int64.

    histograms: (N, D) of `colours`; label: (N,) of str. The same input gives the same groups.
    """
    from sklearn.cluster import KMeans

    # of shares the square root is taken, so that rare colours count (Hellinger distance)
    points = _principal(np.sqrt(histograms.astype(np.float64)), COMPONENTS)
    found = np.full(len(points), -1, np.int64)
    for name in np.unique(label):
        own = np.flatnonzero(label == name)
        count = min(GROUPS_A_CLASS, len(own))
        found[own] = found.max() + 1 + KMeans(count, n_init=4, random_state=seed).fit_predict(points[own])
    _, first, code = np.unique(found, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered: np.ndarray = rank[code]
    return numbered


def _principal(points: np.ndarray, components: int) -> np.ndarray:
    spread = points.std(axis=0)
    scaled = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1)
    # the exact decomposition of the covariance: no random start, so the same on every call
    vectors = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1][:, :components]
    found: np.ndarray = scaled @ vectors
    return found
