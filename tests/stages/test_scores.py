"""Scores are whole, repeatable, and joined by id."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from data.errors import ChainError, ExitCode
from stages.scores import Scores, read_scores, write_scores


def scores(n, c=5, seed=0, scale=4.0):
    rng = np.random.default_rng(seed)
    return Scores(
        np.sort(rng.choice(n * 100, n, replace=False)).astype(np.uint64) + 2**63,
        log_softmax(rng.normal(0, scale, (n, c)), axis=1).astype(np.float16),
    )


def test_what_is_written_is_read(tmp_path):
    parts = {"pool": scores(1000), "validation": scores(30, seed=1), "test": scores(0)}
    write_scores(tmp_path / "scores.h5", parts)
    for name, one in parts.items():
        read = read_scores(tmp_path / "scores.h5", name)
        assert np.array_equal(read.ids, one.ids)
        assert np.array_equal(read.log_probs, one.log_probs)
        assert (read.ids.dtype, read.log_probs.dtype, read.log_probs.shape) == (np.uint64, np.float16, (len(one), 5))


@pytest.mark.parametrize("chunks", [None, (7, 5)])
def test_what_is_mapped_is_what_is_read_and_cannot_be_written(tmp_path, chunks):
    one = scores(100)
    path = tmp_path / "scores.h5"
    write_scores(path, {"pool": replace(one, opinions=one.log_probs[None]), "test": scores(0)})
    if chunks:
        with h5py.File(path, "a") as file:
            del file["pool/log_probs"]
            file["pool"].create_dataset("log_probs", data=one.log_probs, chunks=chunks)
    for part in ("pool", "test"):
        mapped, read = read_scores(path, part, mapped=True), read_scores(path, part)
        assert np.array_equal(mapped.ids, read.ids)
        assert np.array_equal(mapped.log_probs, read.log_probs)
        assert np.array_equal(mapped.probs(1.3), read.probs(1.3))
    assert np.array_equal(read_scores(path, "pool", mapped=True).opinions[0], one.log_probs)
    assert read_scores(path, "pool", mapped=True).ids.flags.writeable is False
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ChainError) as refusal:
        read_scores(path, "pool", mapped=True)
    assert refusal.value.code == ExitCode.DAMAGED


def test_same_scores_same_bytes(tmp_path):
    parts = {"pool": scores(1000), "test": scores(9)}
    write_scores(tmp_path / "a", parts)
    write_scores(tmp_path / "b", dict(reversed(parts.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.0, 20.0])
def test_probs_are_the_softmax_at_a_temperature(temperature):
    one = scores(500)
    probs = one.probs(temperature)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(
        probs, softmax(one.log_probs.astype(np.float64) / temperature, axis=1), rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(probs.argmax(axis=1), one.log_probs.argmax(axis=1))


def test_scores_without_some_patches_keep_all_that_is_said_of_the_others():
    n, gone = 40, np.array([0, 3, 4, 39])
    one = scores(n)
    each = np.arange(n * 5, dtype=np.float16).reshape(n, 5)
    one = replace(one, deviation=each, opinions=np.stack([each + 1, each + 2]))
    left, rest = one.without(np.r_[one.ids[gone], one.ids[:1] + np.uint64(1)]), np.delete(np.arange(n), gone)
    for name in ("ids", "log_probs", "deviation"):
        assert np.array_equal(getattr(left, name), getattr(one, name)[rest])
    assert np.array_equal(left.opinions, one.opinions[:, rest])


def test_a_cut_or_absent_file_is_refused_by_name(tmp_path):
    path = tmp_path / "scores.h5"
    with pytest.raises(ChainError) as refusal:
        read_scores(path, "pool")
    assert refusal.value.code == ExitCode.MISSING
    write_scores(path, {"pool": scores(1000)})
    with pytest.raises(ChainError) as refusal:
        read_scores(path, "test")
    assert refusal.value.code == ExitCode.DAMAGED
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ChainError) as refusal:
        read_scores(path, "pool")
    assert refusal.value.code == ExitCode.DAMAGED
    assert "scores.h5" in refusal.value.what


def test_ids_out_of_order_are_our_own_mistake(tmp_path):
    one = scores(10)
    with pytest.raises(AssertionError):
        write_scores(tmp_path / "scores.h5", {"pool": Scores(one.ids[::-1], one.log_probs)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ids", "log_probs", "opinions"])
def test_a_file_that_points_elsewhere_is_refused(tmp_path, name):
    write_scores(tmp_path / "elsewhere.h5", {"pool": replace(scores(5), opinions=scores(5).log_probs[None])})
    write_scores(tmp_path / "scores.h5", {"pool": scores(5)})
    with h5py.File(tmp_path / "scores.h5", "a") as file:
        file.pop(f"pool/{name}", None)
        file[f"pool/{name}"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), f"/pool/{name}")
    with pytest.raises(ChainError) as refusal:
        read_scores(tmp_path / "scores.h5", "pool")
    assert refusal.value.code == ExitCode.DAMAGED
    assert "link" in refusal.value.why
