import numpy as np
import pytest
from pydantic import ValidationError

from data.number_range import NumberRange


def test_the_bounds_are_kept_and_what_is_not_known_never_is() -> None:
    values = np.array([np.nan, -1.0, 0.0, 1.0, 2.0])
    assert NumberRange(min=0, max=1).holds(values).tolist() == [False, False, True, True, False]
    assert NumberRange(max=5).holds(values).tolist() == [False, True, True, True, True]
    assert NumberRange(min=1).holds(np.float64(1))
    assert not NumberRange(min=1).holds(np.float64("nan"))


@pytest.mark.parametrize("wrong", [{}, {"min": 2, "max": 1}])
def test_what_keeps_everything_or_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        NumberRange(**wrong)
