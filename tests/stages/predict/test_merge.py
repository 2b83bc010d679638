"""Shards become one file: each id once, by rising id, in the bytes that scores in memory would have."""

import numpy as np
import pytest

from stages.predict import merge
from stages.predict.embedding import Embeddings
from stages.predict.merge import merge_embeddings, merge_scores
from stages.predict.shards import Shards
from stages.scores import Scores, write_scores
from tests.embeddings import write_embeddings

COLUMNS = {"log_probs": (3,), "deviation": (3,), "opinions": (2, 3), "embeddings": (5,)}


def labelled(directory, count, columns):
    """Whole shards of patches in the order of a disk, and what they say of each id."""
    rng = np.random.default_rng(count)
    ids = rng.permutation(count).astype(np.uint64) * np.uint64(2**57) + np.uint64(5)
    said = {name: rng.normal(size=(count, *shape)).astype(np.float16) for name, shape in columns.items()}
    shards = Shards(directory, ids, columns, batch_size=4, shard_batches=3)
    for batch in shards.batches(shards.missing()):
        shards.add(np.array(batch), {name: values[batch] for name, values in said.items()})
    order = np.argsort(ids)
    return shards, ids[order], {name: values[order] for name, values in said.items()}


@pytest.mark.parametrize("run_bytes", [1, 500, merge.RUN_BYTES])
@pytest.mark.parametrize("count", [0, 1, 12, 101])
@pytest.mark.parametrize("more", [False, True])
def test_merged_is_written_as_from_memory(tmp_path, monkeypatch, count, run_bytes, more):
    monkeypatch.setattr(merge, "RUN_BYTES", run_bytes)
    shards, ids, said = labelled(tmp_path / "shards", count, COLUMNS if more else {"log_probs": (3,)})
    part = np.random.default_rng(1).integers(0, 4, count)  # the last is in the shards and in none of the parts
    rows = {name: np.flatnonzero(part == code) for code, name in enumerate(("pool", "validation", "test"))}
    merge_scores(tmp_path / "merged.h5", shards, {name: ids[own] for name, own in rows.items()})
    wanted = {}
    for name, own in rows.items():
        wanted[name] = Scores(ids[own], said["log_probs"][own])
        if more:
            opinions = np.moveaxis(said["opinions"][own], 1, 0)
            wanted[name] = Scores(ids[own], said["log_probs"][own], said["deviation"][own], opinions)
    write_scores(tmp_path / "wanted.h5", wanted)
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "wanted.h5").read_bytes()
    if more:
        merge_embeddings(tmp_path / "merged", shards, "embeddings")
        write_embeddings(tmp_path / "wanted", Embeddings(ids, said["embeddings"]))
        assert (tmp_path / "merged").read_bytes() == (tmp_path / "wanted").read_bytes()


def test_a_patch_that_was_not_scored_is_our_own_mistake(tmp_path):
    shards, ids, _ = labelled(tmp_path / "shards", 12, {"log_probs": (3,)})
    with pytest.raises(AssertionError, match="not scored"):
        merge_scores(tmp_path / "scores.h5", shards, {"pool": np.append(ids, ids[-1] + np.uint64(1))})
    assert not (tmp_path / "scores.h5").exists()
