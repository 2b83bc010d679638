from dataclasses import replace

import numpy as np

from stages.select.rules.agreement import Agreement
from tests.stages.select.cases import evidence


def test_keeps_what_all_opinions_share_and_is_sure_enough():
    one = evidence(800, opinions=2)
    kept = Agreement(min_confidence=0.6).select(one)
    said = np.stack([one.probs.argmax(1), *(opinion.argmax(1) for opinion in one.opinions)])
    wanted = (said == said[0]).all(axis=0) & (one.probs.max(1) >= np.float32(0.6))
    assert 0 < wanted.sum() < 800
    assert np.array_equal(kept.ids, one.ids[wanted])
    assert np.array_equal(kept.label, said[0][wanted])


def test_every_further_opinion_can_only_take_away():
    sizes = [len(Agreement().select(evidence(800, opinions=n))) for n in range(4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[3]


def test_the_same_opinion_twice_changes_nothing():
    one = evidence(500, opinions=1)
    twice = replace(one, opinions=one.opinions * 2)
    assert np.array_equal(Agreement().select(one).ids, Agreement().select(twice).ids)


def test_without_a_second_opinion_it_says_so():
    alone = evidence(100, opinions=0)
    kept = Agreement(min_confidence=0.7).select(alone)
    assert len(kept) == (alone.probs.max(1) >= np.float32(0.7)).sum()
    assert "no second opinion in round 0" in Agreement().remarks(alone)[0]
    assert Agreement().remarks(evidence(100)) == []
