"""What people are asked about: doubtful patches, no two alike, the same ones every time."""

import numpy as np

from stages.measures.informative import spread, worth


def test_doubt_counts_and_so_does_a_change_of_mind() -> None:
    margin = np.array([0.9, 0.1, 0.9, 0.9])
    found = worth(margin, np.array([0, 0, 1, 1], bool), np.array([0, 0, 0, 1], bool))
    assert found.argsort().tolist() == [0, 2, 1, 3]
    assert (found > 0).all()
    assert (found <= 2).all()


def test_the_first_is_worth_most_and_no_two_are_alike() -> None:
    points = np.array([[0.0, 0], [0, 0], [0, 1], [1, 0], [0, 0]])
    value = np.array([0.9, 1.0, 0.5, 0.4, 0.8])
    assert spread(points, value, 3).tolist() == [1, 2, 3]
    assert sorted(spread(points, value, 5).tolist()) == [0, 1, 2, 3, 4]


def test_worth_decides_what_may_be_chosen_and_ties_go_to_the_lower_row() -> None:
    rng = np.random.default_rng(0)
    points, value = rng.random((500, 3)), rng.random(500) + 0.1
    found = spread(points, value, 4)
    assert set(found.tolist()) <= set(np.argsort(-value)[:40].tolist())
    assert len(set(found.tolist())) == 4
    assert spread(points, np.ones(500), 2)[0] == 0
    assert spread(points[:2], value[:2], 9).size == 2
    assert spread(points[:0], value[:0], 9).size == 0
