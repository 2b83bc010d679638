"""The body is the patient: not the air, not the table, lungs included."""

import numpy as np
import pytest

from data.errors import ChainError
from data.volumes.body import body_mask


def phantom(step_mm=1.0, n=160):
    """A trunk of soft tissue with two lungs on a table of a thin skin around foam: (Z, Y, X) and what is trunk."""
    y, x = (np.mgrid[:n, :n] - n / 2) * step_mm
    trunk = (x / 60) ** 2 + (y / 40) ** 2 <= 1
    lungs = (((abs(x) - 28) / 18) ** 2 + (y / 25) ** 2) <= 1
    plane = np.full((n, n), -1000.0)
    plane[trunk] = 40
    plane[lungs] = -850
    shell = (abs(x) < 70) & (((y > 40) & (y < 43)) | ((y > 55) & (y < 58)))
    plane[shell & ~trunk] = 100
    plane[(abs(x) < 70) & (y >= 43) & (y <= 55)] = -950
    return np.repeat(plane[None].astype(np.int16), 12, 0), np.repeat(trunk[None], 12, 0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.5), (1.0, 1.0, 0.6)])
def test_trunk_with_lungs_and_without_table(spacing):
    hu, trunk = phantom()
    found = body_mask(hu, spacing, "v").values.astype(bool)
    assert found.shape == hu.shape
    both = (found & trunk).sum()
    assert both / trunk.sum() > 0.97
    assert both / found.sum() > 0.97
    assert not found[:, 140:, :].any(), "the far side of the table"


def test_two_legs_are_body_and_the_table_below_them_is_not():
    hu = np.full((6, 100, 200), -1000, np.int16)
    y, x = np.mgrid[:100, :200]
    for centre, radius in ((55, 35), (145, 30)):
        hu[:, (x - centre) ** 2 + (y - 45) ** 2 < radius**2] = 40
    hu[:, 85:88, 10:190] = 100
    body = body_mask(hu, (2.0, 2.0, 2.0), "volume").values
    assert body[:, 45, [55, 145]].all()
    assert not body[:, 85:88].any()


def test_nothing_but_air_is_refused_by_name():
    with pytest.raises(ChainError) as caught:
        body_mask(np.full((8, 64, 64), -1000, np.int16), (1.0, 1.0, 1.0), "v-1234")
    assert caught.value.code == 65
    assert caught.value.what.startswith("v-1234")
