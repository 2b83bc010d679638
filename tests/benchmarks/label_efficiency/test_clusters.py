"""Clusters that stand for slides: the same each time, blind to labels, and found where they were planted."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from benchmarks.label_efficiency.clusters import clustered, count_for, embedded, optical_density


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    slide = rng.integers(0, 10, 400)
    stain = rng.normal(size=(10, 6))[slide] + 0.05 * rng.normal(size=(400, 6))
    features = rng.normal(size=(10, 40))[slide] + 0.3 * rng.normal(size=(400, 40))
    return slide, stain, features


def test_planted_slides_are_found() -> None:
    slide, stain, features = planted()
    assert adjusted_rand_score(slide, clustered(embedded(stain, features), 10)) > 0.95


def test_the_same_points_give_the_same_clusters_numbered_by_their_first_member() -> None:
    points = embedded(*planted()[1:])
    found = clustered(points, 12)
    np.testing.assert_array_equal(found, clustered(points.copy(), 12))
    names, first = np.unique(found, return_index=True)
    assert list(names) == list(range(12))
    assert list(first) == sorted(first)


def test_stain_and_features_weigh_the_same_and_no_unit_matters() -> None:
    _, stain, features = planted()
    points = embedded(stain, features, components=5)
    assert points.shape == (400, 11)
    np.testing.assert_allclose([points[:, :6].var(0).sum(), points[:, 6:].var(0).sum()], 1)
    np.testing.assert_allclose(np.abs(embedded(1000 * stain, 7 * features, components=5)), np.abs(points), atol=1e-8)


def test_components_are_the_principal_ones() -> None:
    _, stain, features = planted()
    ours = embedded(stain, features, components=5)[:, 6:]
    wanted = PCA(5, svd_solver="full").fit_transform(features)
    np.testing.assert_allclose(np.abs(np.corrcoef(ours.T, wanted.T)[:5, 5:]).diagonal(), 1, atol=1e-8)


def test_optical_density_of_flat_patches() -> None:
    np.testing.assert_allclose(optical_density(np.full((4, 4, 3), 255, np.uint8)), 0, atol=1e-12)
    half = optical_density(np.full((4, 4, 1), 127, np.uint8))
    np.testing.assert_allclose(half, [np.log10(2), 0], atol=1e-12)


def test_a_set_of_any_size_has_clusters_to_hold_out() -> None:
    assert [count_for(n) for n in (10, 16_000, 10**7)] == [8, 100, 200]
