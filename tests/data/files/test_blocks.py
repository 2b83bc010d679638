import numpy as np
import pytest

from data.files.blocks import KEPT_LEAST, KEPT_MOST, Blocks


@pytest.mark.parametrize("multiple", [1, 3, 7, 100])
def test_every_row_is_itself_and_read_once_when_read_in_order(monkeypatch, multiple):
    monkeypatch.setattr("data.files.blocks.BLOCK_BYTES", 40)
    values, asked = np.arange(50 * 4).reshape(50, 4), []

    def read(start, stop):
        asked.append((start, stop))
        return values[start:stop]

    blocks = Blocks(read, 50, row_bytes=4, multiple=multiple)
    assert all(np.array_equal(blocks.row(row), values[row]) for row in range(50))
    assert [row for start, stop in asked for row in range(start, stop)] == list(range(50))
    assert all(start % multiple == 0 for start, _ in asked)


def small(monkeypatch, values, threads):
    # a row is a block
    monkeypatch.setattr("data.files.blocks.BLOCK_BYTES", 8)
    monkeypatch.setattr("data.files.blocks.cores", lambda: threads)
    asked = []

    def read(start, stop):
        asked.append(start)
        return values[start:stop]

    return Blocks(read, len(values), row_bytes=8), asked


@pytest.mark.parametrize(("threads", "kept"), [(1, KEPT_LEAST), (10, 10), (64, KEPT_MOST)])
def test_few_blocks_are_kept(monkeypatch, threads, kept):
    blocks, _ = small(monkeypatch, np.zeros((50, 1)), threads)
    for row in range(50):
        blocks.row(row)
    assert len(blocks._blocks) == kept


def test_rows_may_be_asked_for_in_any_order(monkeypatch):
    values = np.arange(50).reshape(50, 1)
    blocks, _ = small(monkeypatch, values, 1)
    order = np.random.default_rng(0).permutation(np.tile(np.arange(50), 4))
    assert [int(blocks.row(int(row))[0]) for row in order] == order.tolist()


def test_threads_that_run_ahead_of_each_other_do_not_make_a_source_go_back(monkeypatch):
    blocks, asked = small(monkeypatch, np.arange(50).reshape(50, 1), 10)  # ten are kept
    ahead = [row for start in range(0, 50, 5) for row in reversed(range(start, start + 5))]
    assert [int(blocks.row(row)[0]) for row in ahead] == ahead
    assert asked == list(range(50))


def test_what_is_far_ahead_is_read_alone(monkeypatch):
    blocks, asked = small(monkeypatch, np.zeros((50, 1)), 10)
    blocks.row(40)
    blocks.row(7)
    assert asked == [40, 7]


def test_the_block_that_is_longest_unused_goes_first(monkeypatch):
    blocks, asked = small(monkeypatch, np.zeros((50, 1)), 1)
    for row in (0, 1, 2, 0, 3, 0, 1):
        blocks.row(row)
    assert asked == [0, 1, 2, 3, 1]


def test_a_row_is_the_callers_own():
    values = np.zeros((3, 2))
    Blocks(lambda start, stop: values[start:stop], 3, 16).row(1)[:] = 1
    assert values.sum() == 0
