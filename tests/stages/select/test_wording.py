"""Words a person reads: they say who was labelled, and only where that matters."""

import pytest

from stages.select.wording import of_few_groups, percent


@pytest.mark.parametrize(("share", "said"), [(0.0042, "0.42 %"), (0.04, "4 %"), (0.5, "50 %"), (1.0, "100 %")])
def test_shares_have_as_many_digits_as_they_need(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(("groups", "elsewhere", "told"), [(3, 0.96, True), (5, 0.96, False), (3, 0.4, False)])
def test_few_patients_are_named_where_most_of_the_pool_is_of_others(groups: int, elsewhere: float, told: bool) -> None:
    said = of_few_groups("patient", groups, elsewhere)
    assert (said is not None) == told
    assert said is None or said.startswith("labels are of 3 patients, and 96 % of the pool is of others")


def test_one_is_one() -> None:
    said = of_few_groups("slide", 1, 0.9)
    assert said is not None
    assert said.startswith("labels are of 1 slide, and 90 %")
