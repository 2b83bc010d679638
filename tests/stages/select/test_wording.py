"""Words a person reads: they say who was labelled, and only where that matters."""

import pytest

from stages.select.wording import of_few_groups, percent


@pytest.mark.parametrize(("share", "said"), [(0.0042, "0.42 %"), (0.04, "4 %"), (0.5, "50 %"), (1.0, "100 %")])
def test_shares_have_as_many_digits_as_they_need(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(("groups", "said"), [(1, "1 patient,"), (3, "3 patients,")])
def test_few_patients_are_named_and_one_is_one(groups: int, said: str) -> None:
    assert of_few_groups("patient", groups, 0.96).startswith(f"labels are of {said} and 96 % of the pool is of others")
