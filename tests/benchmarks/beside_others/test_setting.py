"""What all sides share."""

import pytest

from benchmarks.beside_others.setting import Setting


def test_steps_of_a_chain_are_those_of_its_trainings() -> None:
    one = Setting(labelled=8, rounds=3, teacher_epochs=2, student_epochs=1, teacher_batch=8, student_batch=4, ratio=3)
    assert (one.teacher_steps(2), one.student_steps(2)) == (4, 4)
    assert one.steps(2) == 4 + 3 * 4
    assert one.trained(2) == 4 * 8 + 3 * 4 * 4 * 4


def test_batches_are_whole() -> None:
    # WILDS would train on a smaller last batch, the chain would not
    with pytest.raises(ValueError, match="2 x 9 labelled patches are not whole batches of 4"):
        Setting(labelled=9).epoch(4, 2)
