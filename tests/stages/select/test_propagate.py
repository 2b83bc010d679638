"""Labels spread along likeness: laws of the graph, and nothing of what is judged takes part."""

import numpy as np

from stages.select.propagate import Axes, Likeness, Propagate, drawn_inside, together

N, CLASSES = 600, 3


def islands(seed: int = 0, spread: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors in two islands a class, far from each other, and the class of each."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(2 * CLASSES, 24))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    island = rng.integers(0, 2 * CLASSES, N)
    points = centre[island] + spread * rng.normal(size=(N, 24)) / np.sqrt(24)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), island


def propagated(
    section: Propagate, points: np.ndarray, given: np.ndarray, label: np.ndarray, classes: int
) -> np.ndarray:
    return Likeness(section, points).propagated(given, label, classes)


def embedded(sources: list[np.ndarray], components: int, weights: list[float] | None = None) -> np.ndarray:
    return together([Axes(values, components).of(values) for values in sources], weights)


def one_each(island: np.ndarray) -> np.ndarray:
    return np.array([np.flatnonzero(island == k)[0] for k in range(2 * CLASSES)])


def test_one_label_an_island_tells_all_of_it() -> None:
    points, island = islands()
    given = one_each(island)
    said = propagated(Propagate(), points, given, island[given] % CLASSES, CLASSES)
    assert said.shape == (N, CLASSES)
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-5)
    assert (said.argmax(1) == island % CLASSES).mean() == 1
    assert said.min() > 0  # nothing is impossible: logarithms are taken of it


def test_what_lies_along_a_bent_band_is_told_by_its_band_and_not_by_distance() -> None:
    # two half circles around each other: the end of one is nearer to the other's label than to its own
    angle = np.linspace(0, np.pi, 150)
    bands = [np.c_[np.cos(angle), np.sin(angle)], np.c_[1 - np.cos(angle), 0.5 - np.sin(angle)]]
    flat = np.concatenate(bands)
    on_sphere = np.c_[flat, np.full(len(flat), 4.0)]
    points = (on_sphere / np.linalg.norm(on_sphere, axis=1, keepdims=True)).astype(np.float32)
    given = np.array([0, 150])
    section = Propagate(neighbours=4, reach=0.99)
    said = propagated(section, points, given, np.array([0, 1]), 2)
    truth = np.repeat([0, 1], 150)
    nearest = np.linalg.norm(flat[:, None] - flat[given][None], axis=2).argmin(1)
    assert (nearest == truth).mean() < 0.8
    assert (said.argmax(1) == truth).mean() > 0.99


def test_the_order_of_the_rows_does_not_matter() -> None:
    points, island = islands(spread=0.6)
    given = one_each(island)
    said = propagated(Propagate(), points, given, island[given] % CLASSES, CLASSES)
    order = np.random.default_rng(1).permutation(N)
    moved = propagated(Propagate(), points[order], np.argsort(order)[given], island[given] % CLASSES, CLASSES)
    np.testing.assert_allclose(moved, said[order], atol=1e-4)


def test_a_class_that_weighs_more_is_told_more_often_and_equal_weights_change_nothing() -> None:
    points, island = islands(spread=0.9)
    given, graph = one_each(island), Likeness(Propagate(), points)
    label = island[given] % CLASSES
    plain = graph.propagated(given, label, CLASSES)
    assert np.array_equal(graph.propagated(given, label, CLASSES, np.ones(CLASSES)), plain)
    np.testing.assert_allclose(graph.propagated(given, label, CLASSES, np.full(CLASSES, 4.0)), plain)
    for rare in range(CLASSES):
        weights = np.where(np.arange(CLASSES) == rare, 0.2, 1.0)
        weighed = graph.propagated(given, label, CLASSES, weights)
        assert (weighed.argmax(1) == rare).sum() < (plain.argmax(1) == rare).sum()
        assert (weighed[:, rare] <= plain[:, rare]).all()


def test_a_patch_outside_is_told_by_what_is_like_it() -> None:
    points, island = islands(spread=0.6)
    given = one_each(island)
    inside = np.ones(N, bool)
    inside[np.setdiff1d(np.arange(0, N, 7), given)] = False
    graph = Likeness(Propagate(), points[inside])
    rows = np.searchsorted(np.flatnonzero(inside), given)
    said = graph.propagated(rows, island[given] % CLASSES, CLASSES)
    found = graph.outside(points[~inside], said)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found.argmax(1) == (island % CLASSES)[~inside]).mean() > 0.9
    # each by itself: who else is asked changes nothing
    np.testing.assert_allclose(graph.outside(points[~inside][3:5], said), found[3:5], atol=1e-9)


def test_many_labels_of_a_class_do_not_make_it_frequent_and_the_prior_does() -> None:
    points, island = islands(spread=1.5)
    rng = np.random.default_rng(2)
    truth = island % CLASSES
    given = np.concatenate([rng.choice(np.flatnonzero(truth == k), n, replace=False) for k, n in enumerate((40, 5, 5))])
    shares = [propagated(Propagate(prior=prior), points, given, truth[given], CLASSES).mean(0) for prior in (0.0, 1.0)]
    np.testing.assert_allclose(shares[0], 1 / 3, atol=0.08)
    assert shares[1][0] > 0.6


def test_a_neighbour_counts_by_the_cube_of_its_likeness() -> None:
    cosine = np.array([0.9, 0.6])
    points = np.c_[cosine, np.sqrt(1 - cosine**2)].astype(np.float32)
    told = Likeness(Propagate(neighbours=2), points).outside(np.array([[1, 0]], np.float32), np.eye(2))
    np.testing.assert_allclose(told[0], cosine**3 / (cosine**3).sum(), atol=1e-3)


def test_who_makes_the_graph_is_drawn_by_id_alone() -> None:
    ids = np.unique(np.random.default_rng(0).integers(0, 2**63, 500, dtype=np.uint64))
    labelled, pool = ids[::50], np.delete(ids, np.s_[::50])
    inside = drawn_inside(labelled, pool, 100, 7)
    assert len(inside) == len(labelled) + 100
    assert (inside[1:] > inside[:-1]).all()
    assert np.isin(labelled, inside).all()
    # of a part of the pool those are drawn that were drawn of all of it
    part = drawn_inside(labelled, pool[::2], len(pool), 7)
    assert np.isin(np.intersect1d(inside, pool[::2]), part).all()
    assert not np.array_equal(drawn_inside(labelled, pool, 100, 8), inside)
    assert np.array_equal(drawn_inside(labelled, pool, len(pool), 7), ids)


def test_two_networks_weigh_the_same_whatever_their_units() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(50, 30)), rng.normal(size=(50, 8))
    together = embedded([one, two], 6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    cosines = together @ together.T
    alone = [embedded([values], 6) for values in (one, two)]
    np.testing.assert_allclose(cosines, sum(p @ p.T for p in alone) / 2, atol=1e-5)
    np.testing.assert_allclose(cosines, (scaled := embedded([1000 * one, two], 6)) @ scaled.T, atol=1e-4)


def test_a_network_that_counts_less_has_that_share_of_the_cosine() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(50, 30)), rng.normal(size=(50, 8))
    cosines = (both := embedded([one, two], 6, [1, 0.25])) @ both.T
    alone = [embedded([values], 6) for values in (one, two)]
    np.testing.assert_allclose(cosines, 0.8 * alone[0] @ alone[0].T + 0.2 * alone[1] @ alone[1].T, atol=1e-5)
    np.testing.assert_array_equal(embedded([one, two], 6, [1, 1]), embedded([one, two], 6))


def test_fewer_patches_than_neighbours_and_a_class_without_a_label() -> None:
    points = islands()[0][:4]
    said = propagated(Propagate(), points, np.arange(2), np.arange(2), 3)
    assert said.argmax(1)[:2].tolist() == [0, 1]
    assert said[:, 2].max() < 0.01


def test_one_graph_spreads_any_labels_as_a_graph_of_their_own_would() -> None:
    points, island = islands(spread=0.6)
    graph = Likeness(Propagate(), points)
    for given in (one_each(island), one_each(island)[:4], np.arange(40)):
        label = island[given] % CLASSES
        alone = propagated(Propagate(), points, given, label, CLASSES)
        np.testing.assert_array_equal(graph.propagated(given, label, CLASSES), alone)


def test_the_axes_that_are_kept_are_those_along_which_patches_differ_most() -> None:
    rng = np.random.default_rng(4)
    turn = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    large, small = rng.normal(size=(200, 3)) * [9, 7, 5], rng.normal(size=(200, 17))
    found = Axes(np.c_[large, small] @ turn, 3).of(np.c_[large, small] @ turn)
    wanted = large - large.mean(axis=0)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.corrcoef((found @ found.T).ravel(), (wanted @ wanted.T).ravel())[0, 1] > 0.95


def test_columns_of_any_unit_weigh_the_same_and_a_constant_one_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(60, 4)) * [1, 100, 1e-3, 0] + 5
    found = Axes(values, 4, own_units=True).of(values)
    other = values * 7 + 1
    moved = Axes(other, 4, own_units=True).of(other)
    np.testing.assert_allclose(found @ found.T, moved @ moved.T, atol=1e-9)
    plain = Axes(values, 4).of(values)
    assert abs(plain @ plain.T - found @ found.T).max() > 0.1


def test_axes_fitted_on_some_patches_see_others_as_they_see_those() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(80, 30)) @ rng.normal(size=(30, 30))
    axes = Axes(values[:50], 6, own_units=True)
    alike = axes.of(values)
    np.testing.assert_allclose(np.linalg.norm(alike, axis=1), 1)
    np.testing.assert_allclose(alike[20:60], axes.of(values[20:60]), atol=1e-9)
    # what is not asked about has no part in them
    np.testing.assert_array_equal(Axes(values[:50].copy(), 6, own_units=True).of(values), alike)
