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

BLOCK = 2048  # rows whose similarities are in memory at a time
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

    points: (N, D) unit vectors (`embedded`); inside: (N,) bool, rows of the graph.
    """

    def __init__(self, section: Propagate, points: np.ndarray, inside: np.ndarray) -> None:
        self._section, self._points = section, points
        self._rows, self._outside = np.flatnonzero(inside), np.flatnonzero(~inside)
        self._graph = _graph(points[self._rows], section.neighbours)

    def propagated(self, given: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
        """What each patch is believed to be: (N, C) float32, rows sum to 1.

        given: rows of the graph that have a label; label: their classes. Pure: one answer, whatever the order of the
        rows but for rounding.
        """
        found = np.empty((len(self._points), classes))
        found[self._rows] = self._spread(given, label, classes)
        among = self._points[self._rows], found[self._rows]
        found[self._outside] = _shares(_told(self._points[self._outside], *among, self._section.neighbours))
        return found.astype(np.float32)

    def told(self, given: np.ndarray, label: np.ndarray, classes: int, of: np.ndarray) -> np.ndarray:
        """The same of the rows `of` alone, all of the graph: (M, C). What lies outside is not looked for."""
        found: np.ndarray = self._spread(given, label, classes)[self._at(of)].astype(np.float32)
        return found

    def _spread(self, given: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
        counts = np.bincount(label, minlength=classes).astype(np.float64)
        source = np.zeros((len(self._rows), classes))
        source[self._at(given), label] = 1 / counts[label]  # classes spread alike, however many labels each has
        spread = _spread(self._graph, source, self._section.reach)
        shares = (counts / counts.sum()) ** self._section.prior
        # class mass normalisation (Zhu et al., ICML 2003): a class that spreads far is no more frequent for that
        spread *= shares / np.maximum(spread.sum(axis=0), np.finfo(np.float64).tiny)
        return _shares(spread)

    def _at(self, rows: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self._rows, rows)
        assert np.array_equal(self._rows[np.minimum(at, len(self._rows) - 1)], rows), "a label outside teaches nobody"
        return at


def embedded(sources: Sequence[np.ndarray], components: int, weights: Sequence[float] | None = None) -> np.ndarray:
    """Embeddings of several networks, each (N, D), as unit vectors whose cosine is the mean of theirs: (N, A).

    weights: of that mean, above 0; None: equal. Of each, the first principal components; their spread is kept, for
    small ones are mostly noise.
    """
    parts, shares = [], np.ones(len(sources)) if weights is None else np.array(weights, np.float64)
    for values, divisor in zip(sources, np.sqrt(shares.sum() / shares), strict=True):
        centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
        vectors = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :components]
        part = centred @ vectors
        parts.append(part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) / divisor)
    together: np.ndarray = np.concatenate(parts, axis=1).astype(np.float32)
    return together


def standardised(values: np.ndarray) -> np.ndarray:
    """(N, D) with columns of mean 0 and deviation 1, or 0 throughout where a column never changes."""
    spread = values.std(axis=0)
    result: np.ndarray = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return result


def drawn_inside(ids: np.ndarray, must: np.ndarray, never: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Which patches make the graph: all that must, and of the rest the `most` lowest in a draw by id: (N,) bool.

    ids: (N,) uint64; must, never: (N,) bool.
    """
    inside = must.copy()
    free = np.flatnonzero(~must & ~never)
    inside[free[np.argsort(uniform(ids[free], "graph", seed), kind="stable")[:most]]] = True
    return inside


def _nearest(of: np.ndarray, among: np.ndarray, count: int, itself: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `among` with the highest cosine, and how alike they are: both (N, count). itself: is to be left out."""
    count = min(count, len(among) - itself)
    rows, alike = np.empty((len(of), count), np.int64), np.empty((len(of), count))
    for start in range(0, len(of), BLOCK):
        cosine = of[start : start + BLOCK] @ among.T
        if itself:
            cosine[np.arange(len(cosine)), start + np.arange(len(cosine))] = -np.inf
        best = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        rows[start : start + BLOCK] = best
        # the cube: near neighbours count for much more (Iscen et al.)
        alike[start : start + BLOCK] = np.maximum(np.take_along_axis(cosine, best, axis=1), 0) ** 3
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


def _told(of: np.ndarray, among: np.ndarray, found: np.ndarray, neighbours: int) -> np.ndarray:
    if not len(of):
        return np.empty((0, found.shape[1]))
    rows, alike = _nearest(of, among, neighbours, itself=False)
    told: np.ndarray = (alike[:, :, None] * found[rows]).sum(axis=1)
    return told


def _shares(mass: np.ndarray) -> np.ndarray:
    # who is reached by nothing is believed to be anything
    total = mass.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, mass / np.where(total > 0, total, 1), 1 / mass.shape[1])
    result: np.ndarray = (shares + CERTAIN) / (1 + CERTAIN * mass.shape[1])
    return result
