"""Labels spread over the pool along the patches that look alike, instead of a classifier's own word.

A graph joins every patch with those nearest to it, and each given label spreads along it until nothing changes (Zhou
et al., "Learning with Local and Global Consistency", NeurIPS 2003; for self-training of networks, on their own
embeddings: Iscen et al., CVPR 2019). With few labels this uses what a classifier does not: how the pool itself lies.
The nearest are found by cosine in the embeddings of the frozen encoder, its style (stages/predict/style.py) and the
embeddings of the round's teacher together: the first two have learnt nothing wrong, the last what this task is about.
How much the first two count is for the given labels to say (`Graph.trust`).

A patch outside the graph (validation, and what is beyond `most` of a large pool) is told by its nearest ones inside.
So a validation label never takes part in what validation then judges.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from data.keys import uniform
from data.section import Section

BLOCK = 512  # rows whose similarities are in memory at a time
STEPS = 400
ENOUGH = 1e-6  # change of a step, beside the largest value, at which nothing moves any more
CERTAIN = 1e-4  # no class is ever told to be impossible


class Propagate(Section):
    """Label propagation."""

    neighbours: Annotated[int, Field(ge=1, le=200, description="patches each one is joined with")] = 15
    reach: Annotated[
        float, Field(gt=0, lt=1, description="share of what a patch is told by its neighbours at each step")
    ] = 0.98
    components: Annotated[int, Field(ge=2, description="principal components kept of each network's embeddings")] = 128
    prior: Annotated[
        float,
        Field(ge=0, le=1, description="shares of the classes in the pool: 0: equal ones, 1: those of the given labels"),
    ] = 0.0
    most: Annotated[
        int, Field(ge=100, description="patches of the pool in the graph, drawn by id; the rest asks its nearest ones")
    ] = 20_000


class Likeness:
    """The graph of N patches, made once: any given labels can be spread along it.

    points: (N, D) unit vectors (`together`).
    """

    def __init__(self, section: Propagate, points: np.ndarray) -> None:
        self._section, self._points = section, points
        self._graph = _graph(points, section.neighbours)

    def propagated(
        self, given: np.ndarray, label: np.ndarray, classes: int, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """What each patch of the graph is believed to be: (N, C) float64, rows sum to 1.

        given: rows that have a label; label: their classes; weights: (C,), how many times as common as `prior` has it
        each class is, None: as it has it. Pure: one answer, whatever the order of the rows but for rounding.
        """
        counts = np.bincount(label, minlength=classes).astype(np.float64)
        source = np.zeros((len(self._points), classes))
        source[given, label] = 1 / counts[label]  # classes spread alike, however many labels each has
        spread = _spread(self._graph, source, self._section.reach)
        shares = (counts / counts.sum()) ** self._section.prior * (1 if weights is None else weights)
        # class mass normalisation (Zhu et al., ICML 2003): a class that spreads far is no more frequent for that
        spread *= shares / np.maximum(spread.sum(axis=0), np.finfo(np.float64).tiny)
        return _shares(spread)

    def outside(self, points: np.ndarray, said: np.ndarray) -> np.ndarray:
        """What patches that are not in the graph are told by their nearest ones in it: (M, D) -> (M, C) float64.

        said: (N, C), what `propagated` gave. A patch outside tells nobody.
        """
        rows, alike = _nearest(points, self._points, self._section.neighbours, itself=False)
        return _shares((alike[:, :, None] * said[rows]).sum(axis=1))


class Axes:
    """The principal axes of what one network sees, fitted on some patches and then good for any.

    values: (N, D) embeddings of those; components: axes kept; own_units: each column counts in its own deviation.
    """

    def __init__(self, values: np.ndarray, components: int, own_units: bool = False) -> None:
        self._units = units(values) if own_units else None
        scaled = self._scaled(values)
        self._mean = scaled.mean(axis=0, dtype=np.float64)
        centred = scaled.astype(np.float64) - self._mean
        self._axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :components]

    def of(self, values: np.ndarray) -> np.ndarray:
        """Unit vectors: (M, D) -> (M, A). The spread along each axis is kept, for small ones are mostly noise."""
        part = (self._scaled(values).astype(np.float64) - self._mean) @ self._axes
        found: np.ndarray = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
        return found

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self._units is None:
            return values
        middle, spread = self._units
        scaled: np.ndarray = (values - middle) / spread
        return scaled


def together(parts: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Unit vectors of several networks, each (N, A), as one whose cosine is the mean of theirs: (N, B) float32.

    weights: of that mean, above 0; None: equal.
    """
    shares = np.ones(len(parts)) if weights is None else np.array(weights, np.float64)
    divisors = np.sqrt(shares.sum() / shares)
    return np.concatenate([part / by for part, by in zip(parts, divisors, strict=True)], axis=1).astype(np.float32)


def units(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column of (N, D), 1 for the deviation of one that never changes: (D,), (D,)."""
    spread = values.std(axis=0)
    return values.mean(axis=0), np.where(spread > 0, spread, 1)


def drawn_inside(labelled: np.ndarray, pool: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Who makes the graph: all labelled patches, and of the pool the `most` lowest in a draw by id. Ids, ascending.

    labelled: (L,) uint64; pool: (P,) uint64, ascending.
    """
    drawn = pool[np.argsort(uniform(pool, "graph", seed), kind="stable")[:most]]
    return np.sort(np.concatenate([labelled, drawn]))


def _nearest(of: np.ndarray, among: np.ndarray, count: int, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `among` with the highest cosine, and how alike they are: both (N, count). itself: is to be left out."""
    import torch

    count = min(count, len(among) - itself)
    rows, alike = np.empty((len(of), count), np.int64), np.empty((len(of), count))
    for start in range(0, len(of), BLOCK):
        cosine = of[start : start + BLOCK] @ among.T
        if itself:
            cosine[np.arange(len(cosine)), start + np.arange(len(cosine))] = -np.inf
        best = torch.from_numpy(cosine).topk(count, dim=1)  # a seventh of the time of numpy's partition
        rows[start : start + BLOCK] = best.indices.numpy()
        # the cube: near neighbours count for much more (Iscen et al.)
        alike[start : start + BLOCK] = np.maximum(best.values.numpy(), 0) ** 3
    return rows, alike


def _graph(points: np.ndarray, neighbours: int) -> "scipy.sparse.csr_array":  # type: ignore[name-defined] # noqa: F821
    from scipy import sparse

    n = len(points)
    rows, alike = _nearest(points, points, neighbours, itself=True)
    one_way = sparse.csr_array((alike.ravel(), (np.repeat(np.arange(n), rows.shape[1]), rows.ravel())), shape=(n, n))
    both = one_way.maximum(one_way.T)
    root = sparse.diags_array(1 / np.sqrt(np.maximum(np.asarray(both.sum(axis=1)).ravel(), 1e-12)))
    return root @ both @ root


def _spread(graph: "scipy.sparse.csr_array", source: np.ndarray, reach: float) -> np.ndarray:  # type: ignore[name-defined] # noqa: F821
    now = source.copy()
    for _ in range(STEPS):
        after = reach * (graph @ now) + (1 - reach) * source
        moved = np.abs(after - now).max()
        now = after
        if moved <= ENOUGH * np.abs(now).max():
            break
    return now


def _shares(mass: np.ndarray) -> np.ndarray:
    # who is reached by nothing is believed to be anything
    total = mass.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, mass / np.where(total > 0, total, 1), 1 / mass.shape[1])
    result: np.ndarray = (shares + CERTAIN) / (1 + CERTAIN * mass.shape[1])
    return result
