"""Which patches a step sees is a function of seed and step, whatever happened before."""

import numpy as np

from stages.train.batches import Steps, draw


def test_every_example_is_seen_once_a_lap() -> None:
    drawn = draw(size=7, seed=3, start=0, count=21)
    for lap in range(3):
        assert sorted(drawn[7 * lap : 7 * lap + 7]) == list(range(7))


def test_a_stream_cut_anywhere_goes_on_the_same() -> None:
    whole = draw(11, 5, 0, 100)
    assert np.array_equal(np.concatenate([draw(11, 5, 0, 37), draw(11, 5, 37, 63)]), whole)


def test_laps_and_seeds_differ() -> None:
    assert not np.array_equal(draw(50, 1, 0, 50), draw(50, 1, 50, 50))
    assert not np.array_equal(draw(50, 1, 0, 50), draw(50, 2, 0, 50))


def test_resumed_steps_are_the_steps_not_yet_done() -> None:
    whole = list(Steps([5, 40], [2, 6], seed=9, start=0, stop=10))
    assert list(Steps([5, 40], [2, 6], seed=9, start=4, stop=10)) == whole[4:]
    assert [len(step) for step in whole] == [8] * 10
    assert [item.stream for item in whole[0]] == [0, 0, 1, 1, 1, 1, 1, 1]


def test_no_two_draws_of_a_stream_share_a_place() -> None:
    places = [(item.stream, item.place) for step in Steps([5, 40], [2, 6], 9, 0, 30) for item in step]
    assert len(set(places)) == len(places)
