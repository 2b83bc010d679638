"""Labelling: every id exactly once, whatever was already there."""

from pathlib import Path

import numpy as np
import pytest

from stages.predict.shards import Shards

TWO = {"log_probs": (2,)}


def fill(shards: Shards, wanted: list[int]) -> None:
    for batch in shards.batches(wanted):
        index = np.array(batch)
        shards.add(index, {"log_probs": np.stack([index, -index], 1).astype(np.float32)})


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 64, 101])
def test_every_id_once_for_any_size(tmp_path: Path, count: int) -> None:
    ids = np.random.default_rng(count).permutation(count).astype(np.uint64) + np.uint64(5)
    shards = Shards(tmp_path, ids, TWO, batch_size=4, shard_batches=3)
    fill(shards, shards.missing())
    assert shards.missing() == []
    read = np.concatenate([shards.read(shard) for shard in range(len(shards))])
    assert np.array_equal(read["id"], ids)
    assert np.array_equal(read["log_probs"][:, 0], np.arange(count, dtype=np.float16))


def test_a_killed_labelling_redoes_only_its_missing_shards(tmp_path: Path) -> None:
    ids = np.arange(40, dtype=np.uint64)
    first = Shards(tmp_path, ids, TWO, batch_size=4, shard_batches=2)
    for batch in first.batches([0, 1, 2])[:-1]:  # killed before shard 2 is whole
        first.add(np.array(batch), {"log_probs": np.zeros((len(batch), 2), np.float32)})
    again = Shards(tmp_path, ids, TWO, batch_size=4, shard_batches=2)
    assert again.missing() == [2, 3, 4]


@pytest.mark.parametrize("damage", ["short", "other ids", "other classes", "other columns"])
def test_a_shard_that_is_not_whole_or_not_ours_is_done_again(tmp_path: Path, damage: str) -> None:
    ids = np.arange(40, dtype=np.uint64)
    shards = Shards(tmp_path, ids, TWO, 4, 2)
    fill(shards, shards.missing())
    path = tmp_path / "shard-000001.npy"
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-3])
        assert shards.missing() == [1]
    elif damage == "other ids":
        assert Shards(tmp_path, ids + np.uint64(1), TWO, 4, 2).missing() == [0, 1, 2, 3, 4]
    elif damage == "other columns":
        assert Shards(tmp_path, ids, TWO | {"deviation": (2,)}, 4, 2).missing() == [0, 1, 2, 3, 4]
    else:
        assert Shards(tmp_path, ids, {"log_probs": (3,)}, 4, 2).missing() == [0, 1, 2, 3, 4]


def test_an_empty_pool_is_no_shard(tmp_path: Path) -> None:
    shards = Shards(tmp_path, np.zeros(0, np.uint64), TWO, 4, 2)
    assert shards.missing() == []
    assert len(shards) == 0
