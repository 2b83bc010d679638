import numpy as np
import pytest

from data.blocks import KEPT, Blocks


@pytest.mark.parametrize("multiple", [1, 3, 7, 100])
def test_every_row_is_itself_and_read_once_when_read_in_order(monkeypatch, multiple):
    monkeypatch.setattr("data.blocks.BLOCK_BYTES", 40)
    values, asked = np.arange(50 * 4).reshape(50, 4), []

    def read(start, stop):
        asked.append((start, stop))
        return values[start:stop]

    blocks = Blocks(read, 50, row_bytes=4, multiple=multiple)
    assert all(np.array_equal(blocks.row(row), values[row]) for row in range(50))
    assert [row for start, stop in asked for row in range(start, stop)] == list(range(50))
    assert all(start % multiple == 0 for start, _ in asked)


def test_few_blocks_are_kept(monkeypatch):
    monkeypatch.setattr("data.blocks.BLOCK_BYTES", 1)
    blocks = Blocks(lambda start, stop: np.zeros((stop - start, 1)), 50, row_bytes=1)
    for row in range(50):
        blocks.row(row)
    assert len(blocks._blocks) == KEPT


def test_a_row_is_the_callers_own():
    values = np.zeros((3, 2))
    Blocks(lambda start, stop: values[start:stop], 3, 16).row(1)[:] = 1
    assert values.sum() == 0
