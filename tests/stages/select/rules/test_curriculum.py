from dataclasses import replace

import numpy as np
import pytest

from stages.select.rules.curriculum import Curriculum
from tests.stages.select.cases import evidence


@pytest.mark.parametrize("n", [5, 10, 997])
def test_grows_by_a_step_a_round_and_ends_with_everything(n):
    one = evidence(n)
    rule = Curriculum(step=0.2)
    sizes = [len(rule.select(replace(one, round=round))) for round in range(7)]
    assert sizes == [-(-n * min(5, r + 1) // 5) for r in range(7)]


def test_keeps_the_most_confident():
    one = evidence(1000)
    kept = Curriculum(step=0.3).select(one)
    confidence = one.probs.max(axis=1)
    left = ~np.isin(one.ids, kept.ids)
    assert kept.confidence.min() >= confidence[left].max()
