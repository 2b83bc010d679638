"""Where the pool is not like the labels: embeddings of a sample, their map, and what lies far from every label."""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from data.keys import uniform
from pipeline.plan import SPLITS, STORE
from pipeline.report.run import Run
from stages.measures.judged import groups_of
from stages.measures.label_errors import out_of_fold

MOST_LABELLED = 0.4  # of the sample: enough to see where labels are, with most of it left for the pool
FAR_QUANTILE = 0.95  # far: farther from its nearest label than this share of labelled patches is from its own


@dataclass(frozen=True)
class Likeness:
    """A sample of S patches as the newest model sees them.

    model: its address; ids: (S,) uint64; labelled: (S,) bool; label: (S,) given class, -1 in the pool; xy: (S, 2) on
    the map; how: the projection in words; distance: (S,) to the nearest labelled patch (not itself), cosine; limit:
    beyond it a pool patch is far; probs: (L, C) out-of-fold probabilities of the labelled ones, None: too few labels;
    cut: whether time ended the sample before its size.
    """

    model: str
    ids: np.ndarray
    labelled: np.ndarray
    label: np.ndarray
    xy: np.ndarray
    how: str
    distance: np.ndarray
    limit: float
    probs: np.ndarray | None
    cut: bool

    @property
    def far(self) -> np.ndarray:
        """Rows of pool patches beyond the limit, the farthest first."""
        rows = np.flatnonzero(~self.labelled & (self.distance > self.limit))
        found: np.ndarray = rows[np.lexsort((self.ids[rows], -self.distance[rows]))]
        return found

    @property
    def far_share(self) -> float:
        """Share of the sampled pool patches that are far."""
        return len(self.far) / max(int((~self.labelled).sum()), 1)


def likeness(run: Run, most: int, seconds: float) -> Likeness | None:
    """Embed at most `most` patches, drawn by id, within about `seconds`. None without a model, or with most = 0."""
    model = run.latest_model()
    if model is None or most <= 0:
        return None
    from stages.predict.seeing import embed

    ids = sample(run.given.labelled.ids, run.given.pool, most, run.seed)
    places = [run.layout.place(address) for address in (model, STORE, SPLITS)]
    features = embed(places[0], places[1], places[2], ids, seconds)
    cut = len(features) < len(ids)
    ids = ids[: len(features)]
    given = run.given.labelled
    at = np.minimum(np.searchsorted(given.ids, ids), len(given) - 1)
    labelled = given.ids[at] == ids
    label = np.where(labelled, given.label[at], -1).astype(np.int16)
    xy, how = project(features, run.seed)
    distance, limit = distances(features, labelled)
    probs = None
    if labelled.sum() > 1:
        groups = groups_of(run.table, ids[labelled])
        probs = out_of_fold(features[labelled], label[labelled], groups, len(run.classes), run.seed)
    return Likeness(model, ids, labelled, label, xy, how, distance, limit, probs, cut)


def sample(labelled: np.ndarray, pool: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most `most` ids, labelled and pool mixed evenly, so that any beginning of them is a sample too."""
    wanted = min(len(labelled), max(int(MOST_LABELLED * most), most - len(pool)))
    parts = [_drawn(labelled, wanted, seed), _drawn(pool, most - wanted, seed)]
    # the k-th of n stands at (k + 1/2) / n: both parts are spread over the whole
    at = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts])
    mixed: np.ndarray = np.concatenate(parts)[np.argsort(at, kind="stable")]
    return mixed


def project(features: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    """(N, D) -> (N, 2) and the method in words: UMAP where it is installed, else the first two principal components."""
    centred = features - features.mean(axis=0)
    _, scale, axes = np.linalg.svd(centred / max(float(centred.std()), 1e-12), full_matrices=False)
    kept = min(50, len(scale))
    coordinates = centred @ axes[:kept].T
    # an axis has no sign of its own: the largest weight is positive
    coordinates *= np.sign(axes[np.arange(kept), np.abs(axes[:kept]).argmax(axis=1)])
    if find_spec("umap") is not None and len(features) > 30:
        import umap

        placed = umap.UMAP(random_state=seed % 2**32, n_jobs=1).fit_transform(coordinates)  # a seed allows one thread
        return np.asarray(placed, np.float64), "UMAP of the first principal components (McInnes et al. 2018)"
    flat = np.zeros((len(features), 2))
    flat[:, : min(2, kept)] = coordinates[:, :2]
    told = float((scale[:2] ** 2).sum() / max(float((scale**2).sum()), 1e-12))
    return flat, f"the first two principal components, {100 * told:.0f} % of the variance"


def distances(features: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, float]:
    """Cosine distance (N,) of each patch to the nearest labelled one other than itself, and the limit of being far.

    features: (N, D); labelled: (N,) bool. With fewer than two labels the distances are NaN and the limit infinite.
    """
    if labelled.sum() < 2:
        return np.full(len(features), np.nan), np.inf
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    near = unit @ unit[labelled].T
    near[np.flatnonzero(labelled), np.arange(near.shape[1])] = -np.inf
    distance: np.ndarray = 1.0 - near.max(axis=1)
    return distance, float(np.quantile(distance[labelled], FAR_QUANTILE))


def _drawn(ids: np.ndarray, count: int, seed: int) -> np.ndarray:
    return ids[np.lexsort((ids, uniform(ids, "report", "map", seed)))[: max(count, 0)]]
