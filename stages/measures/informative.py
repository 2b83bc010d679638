"""Which patches tell most when a person labels them: doubtful ones, no two alike. Pure."""

import numpy as np

FLIPPED, SUSPECTED = 0.5, 0.5  # beside the margin, which is in [0, 1]: as much as the best half of it
CANDIDATES = 10  # times as many as are asked for: among these, no two alike are looked for


def worth(margin: np.ndarray, flipped: np.ndarray, suspected: np.ndarray) -> np.ndarray:
    """(N,) float64 in [0, 2], more is more to learn.

    margin: (N,) probability of the likeliest class less that of the second (Scheffer et al. 2001); flipped: (N,)
    bool, another class than a round ago; suspected: (N,) bool, taught as another class a round ago.
    """
    result: np.ndarray = 1 - margin.astype(np.float64) + FLIPPED * flipped + SUSPECTED * suspected
    return result


def spread(points: np.ndarray, worth: np.ndarray, n: int) -> np.ndarray:
    """Rows of at most n patches, in the order in which they are chosen: (n,) int64.

    points: (N, D), near where patches are alike; worth: (N,) > 0. Of the 10 n worth most, the first is worth most, and
    each further one has the largest product of its worth and its distance to the nearest chosen one (farthest-first
    traversal, Gonzalez 1985, weighted). Ties go to the lower row.
    """
    order = np.argsort(-worth, kind="stable")[: CANDIDATES * n]
    points, worth = points[order].astype(np.float64), worth[order]
    near = np.full(len(order), np.inf)
    left = np.ones(len(order), bool)
    chosen: list[int] = []
    for _ in range(min(n, len(order))):
        value = worth if not chosen else worth * near
        # alike to the last bit, and so worth nothing beside each other: by worth then
        best = int(np.where(left, value, -1.0).argmax())
        chosen.append(best)
        left[best] = False
        near = np.minimum(near, np.sqrt(((points - points[best]) ** 2).sum(axis=1)))
    return order[np.array(chosen, np.int64)]
