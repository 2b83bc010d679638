"""Numbers behind the charts, against plain loops and known answers."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import likeness
from pipeline.report.charts import ticks
from pipeline.report.likeness import FAR_QUANTILE, distances, project, sample
from pipeline.report.measures import histograms, reliability, shares
from stages.measures.label_errors import out_of_fold, suspected
from stages.measures.quality import expected_calibration_error


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60))
def test_histograms_count_each_patch_once(rows: list[tuple[float, bool]]) -> None:
    confidence, kept = np.array([c for c, _ in rows]), np.array([k for _, k in rows], bool)
    inside, outside = histograms(confidence, kept)
    assert inside.sum() == kept.sum()
    assert outside.sum() == (~kept).sum()
    assert (inside >= 0).all()
    assert (outside >= 0).all()


@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=80))
def test_the_reliability_diagram_is_that_of_the_calibration_error(rows: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([c for c, _ in rows]), np.array([r for _, r in rows])
    found = reliability(confidence, right)
    full = found.count > 0
    error = (np.abs(found.confidence - found.accuracy)[full] * found.count[full]).sum() / len(rows)
    assert error == pytest.approx(expected_calibration_error(confidence, right))


def test_a_slide_that_gives_more_than_its_share_stands_out_and_chance_does_not() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(10), 100)
    kept = rng.random(1000) < 0.3
    assert not shares(codes, kept).outlier.any()
    kept[:100] = True
    found = shares(codes, kept)
    assert found.outlier.tolist() == [True] + [False] * 9
    assert found.excess[0] > 0
    assert found.excess.sum() == pytest.approx(0)
    assert not shares(np.zeros(50, int), np.ones(50, bool)).outlier.any(), "a single slide cannot stand out"
    assert len(shares(np.full(5, -1), np.ones(5, bool)).code) == 0


def test_flipped_labels_are_suspected_and_right_ones_rarely() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 300)
    features = np.eye(3)[truth] * 4 + rng.normal(0, 1, (300, 3))
    given_labels, wrong = truth.copy(), rng.choice(300, 20, replace=False)
    given_labels[wrong] = (truth[wrong] + 1) % 3
    probs = out_of_fold(features, given_labels, np.arange(300), 3, 0)
    assert probs is not None
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    rows, looks = suspected(probs, given_labels)
    assert len(set(rows.tolist()) & set(wrong.tolist())) >= 17
    assert len(set(rows.tolist()) - set(wrong.tolist())) <= 8
    found = np.isin(rows, wrong)
    assert (looks[found] == truth[rows[found]]).mean() > 0.9
    assert np.isin(rows[:10], wrong).all(), "the most doubtful come first"


def test_groups_are_never_on_both_sides_and_a_single_label_is_not_judged() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 10)
    # a feature that tells the group and nothing else: with the group in training it would tell the label
    given_labels = rng.integers(0, 2, 20)[groups]
    features = np.eye(20)[groups]
    probs = out_of_fold(features, given_labels, groups, 2, 0)
    assert probs is not None
    assert (probs.argmax(axis=1) == given_labels).mean() < 0.8
    assert out_of_fold(features[:5], np.array([0, 0, 0, 0, 1]), groups[:5], 2, 0) is None


def test_nothing_looks_like_a_class_of_which_there_is_no_label() -> None:
    rows, looks = suspected(np.array([[0.2, 0.1, 0.7], [0.3, 0.2, 0.5]]), np.array([0, 1]))
    assert rows.tolist() == [1]
    assert looks.tolist() == [0], "its third class is likelier, but has no label to be measured by"


def test_the_sample_is_mixed_so_that_any_beginning_of_it_is_a_sample() -> None:
    labelled, pool = np.arange(100, dtype=np.uint64), np.arange(1000, 6000, dtype=np.uint64)
    found = sample(labelled, pool, 1000, 0)
    assert len(found) == len(set(found.tolist())) == 1000
    assert (found < 1000).sum() == 100
    assert 8 <= (found[:100] < 1000).sum() <= 12
    assert len(sample(labelled, pool[:10], 1000, 0)) == 110
    np.testing.assert_array_equal(sample(labelled, pool, 500, 0), sample(labelled[::-1], pool[::-1], 500, 0))


def test_what_lies_apart_is_far() -> None:
    rng = np.random.default_rng(3)
    near, away = rng.normal([5, 0, 0], 0.3, (100, 3)), rng.normal([0, 5, 0], 0.3, (10, 3))
    labelled = np.arange(110) < 50
    distance, limit = distances(np.concatenate([near, away]), labelled)
    assert (distance[100:] > limit).all()
    assert (distance[50:100] > limit).mean() < 0.3
    assert (distance[:50] <= limit).mean() == pytest.approx(FAR_QUANTILE, abs=0.03)
    assert np.isinf(distances(near, np.zeros(100, bool))[1])


def test_the_map_has_the_largest_axes_and_no_sign_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "find_spec", lambda name: None)
    rng = np.random.default_rng(4)
    points = rng.normal(0, 1, (200, 5)) * [9, 4, 0.1, 0.1, 0.1]
    xy, how = project(points, 0)
    assert "principal components" in how
    assert abs(np.corrcoef(xy[:, 0], points[:, 0])[0, 1]) > 0.999
    np.testing.assert_allclose(project(points[:, ::-1].copy(), 0)[0], xy, atol=1e-9)
    assert project(points[:, :1], 0)[0].shape == (200, 2)


def test_with_umap_installed_the_map_is_its_own_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    class Fake:
        """It suffices: what is handed over and drawn is tested here, how UMAP places it in the test below."""

        def __init__(self, random_state: int, n_jobs: int) -> None:
            asked["seed"] = random_state

        def fit_transform(self, points: np.ndarray) -> np.ndarray:
            asked["points"] = points
            return points[:, :2].astype(np.float32)[::-1]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Fake))
    monkeypatch.setattr(likeness, "find_spec", lambda name: name)
    points = np.random.default_rng(5).normal(0, 1, (100, 80))
    xy, how = project(points, 2**40 + 3)
    assert how.startswith("UMAP")
    assert asked["seed"] == 3, "a seed of 32 bits"
    handed = asked["points"]
    assert isinstance(handed, np.ndarray)
    assert handed.shape == (100, 50)
    np.testing.assert_array_equal(xy, handed[::-1, :2].astype(np.float32))
    assert "principal components," in project(points[:20], 0)[1], "too few patches for neighbourhoods"


def test_umap_keeps_apart_what_is_apart_the_same_way_every_time() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed: pip install 'patchchain[umap]'")
    rng = np.random.default_rng(6)
    points = np.concatenate([rng.normal(0, 1, (60, 20)), rng.normal(0, 1, (60, 20)) + 20])
    xy, how = project(points, 1)
    assert how.startswith("UMAP")
    assert xy.shape == (120, 2)
    middle = np.stack([xy[:60].mean(axis=0), xy[60:].mean(axis=0)])
    nearer = np.linalg.norm(xy[:, None] - middle[None], axis=2).argmin(axis=1)
    assert (nearer == np.arange(120) // 60).all()
    np.testing.assert_array_equal(project(points, 1)[0], xy)


@given(st.floats(0, 100), st.floats(0.001, 1000))
def test_ticks_are_few_and_within(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-6 <= tick <= low + span + 1e-6 for tick in found)
