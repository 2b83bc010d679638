"""The split stage on a real store: drawn, audited, written, repeatable."""

import json

import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.images import Images
from data.patches.record import Record
from data.splits.config import SplitsConfig
from data.splits.written import load_audit, load_splits
from data.store.patch_store import PatchStore
from data.store.writer import writing_store
from stages.job import Job
from stages.split import run, statistics

CLASSES = ("adi", "str", "tum")


def build(directory, patches, mode="rgb8"):
    """A store of 8 px patches; a patch is (key, label, patient, pixels)."""
    directory.mkdir()
    with writing_store(directory / "patches.h5", mode, 8) as writer:
        for number, (key, label, patient, pixels) in enumerate(patches):
            record = Record(key=key, label=label, patient=patient)
            digest = (int(pixels.astype(np.uint64).sum()), int(pixels.astype(np.uint64).ravel()[:9] @ np.arange(9)))
            writer.add(number * 7919 + 3, record, "main", "split", digest, pixels)
        writer.classes = CLASSES
    write_json(directory / "store.json", {"classes": list(CLASSES)})
    return directory


def patches(n=240, patients=24, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (f"{i}.png", CLASSES[i % 3] if i % 8 else "", f"p{i % patients}", rng.integers(0, 256, (8, 8, 3), np.uint8))
        for i in range(n)
    ]


def job(tmp_path, store, name="splits", **section):
    out = tmp_path / name
    out.mkdir()
    config = SplitsConfig.model_validate({"labels": {"count": 4}} | section)
    return Job("data/splits", "split", 0, 0, config.model_dump(mode="json"), {"store": store}, out, out, out)


def test_draws_audits_and_writes_the_same_bytes_twice(tmp_path):
    store = build(tmp_path / "store", patches())
    jobs = [job(tmp_path, store, name) for name in ("one", "two")]
    for one in jobs:
        assert run(one).startswith("split by patient: 12 labelled")
    assert sorted(path.name for path in jobs[0].out.iterdir()) == ["audit.parquet", "splits.json", "splits.parquet"]
    for name in ("audit.parquet", "splits.json", "splits.parquet"):
        assert (jobs[0].out / name).read_bytes() == (jobs[1].out / name).read_bytes()
    splits, audit = load_splits(jobs[0].out), load_audit(jobs[0].out)
    assert splits.classes == CLASSES
    assert len(splits.labelled) == 12
    assert np.isin(audit.ids, splits.pool).all()
    assert 0 < len(audit) < len(splits.pool)
    assert min(len(splits.validation), len(splits.test)) > 0


def test_a_leak_is_refused_by_patient_place_and_split_and_nothing_is_written(tmp_path):
    """A patient given to training by one row and to test by another."""
    rng = np.random.default_rng(0)
    directory = tmp_path / "store"
    directory.mkdir()
    with writing_store(directory / "patches.h5", "rgb8", 8) as writer:
        for i in range(60):
            record = Record(key=f"{i}.png", label=CLASSES[i % 3], patient="P7" if i < 9 else f"p{i}")
            part = "test" if i < 3 else "labelled"
            writer.add(i, record, f"{part}-set", part, (i, i), rng.integers(0, 256, (8, 8, 3), np.uint8))
        writer.classes = CLASSES
    one = job(tmp_path, directory)
    with pytest.raises(ChainError) as refusal:
        run(one)
    assert refusal.value.code == ExitCode.BAD_DATA
    for part in ("patient P7", "labelled", "test", "labelled-set:3.png", "test-set:0.png"):
        assert part in refusal.value.what
    assert list(one.out.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "dtype", "channels"), [("rgb8", np.uint8, 3), ("grey8", np.uint8, 1), ("grey16", np.uint16, 1)]
)
def test_statistics_are_those_of_the_pixels(tmp_path, mode, dtype, channels):
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    pixels = rng.integers(0, top + 1, (50, 8, 8, channels)).astype(dtype)
    store = PatchStore(
        build(tmp_path / "store", [(f"{i}", "adi", "", pixels[i]) for i in range(50)], mode) / "patches.h5"
    )
    some = np.arange(0, 50, 2)
    mean, std = statistics(Images(store), store.ids[some], 0)
    np.testing.assert_allclose(mean, pixels[some].mean(axis=(0, 1, 2)) / top, rtol=1e-12)
    np.testing.assert_allclose(std, pixels[some].std(axis=(0, 1, 2)) / top, rtol=1e-9)
    assert statistics(Images(store), store.ids[some][::-1], 0) == (mean, std)


def test_flat_patches_are_refused(tmp_path):
    flat = np.full((8, 8, 3), 200, np.uint8)
    store = PatchStore(build(tmp_path / "store", [("a", "adi", "", flat), ("b", "adi", "", flat)]) / "patches.h5")
    with pytest.raises(ChainError, match="flat value") as refusal:
        statistics(Images(store), store.ids[:], 0)
    assert refusal.value.code == ExitCode.BAD_DATA


def test_mean_and_deviation_come_from_labelled_and_pool_alone(tmp_path):
    """Painting validation and test white changes neither figure."""
    some = patches()
    first = job(tmp_path, build(tmp_path / "store", some), "first")
    run(first)
    splits = load_splits(first.out)
    held = {int(one) for one in np.concatenate([splits.validation.ids, splits.test.ids])}
    white = [
        (key, label, patient, np.where(number * 7919 + 3 in held, np.uint8(255 - number % 5), pixels))
        for number, (key, label, patient, pixels) in enumerate(some)
    ]
    # shaded by number so that no two are equal: equal ones would be joined and drawn otherwise
    for number, (_, _, _, pixels) in enumerate(white):
        pixels[0, 0, 0], pixels[0, 0, 1] = number % 256, number // 256
    second = job(tmp_path, build(tmp_path / "painted", white), "second")
    run(second)
    about, painted = (json.loads((one.out / "splits.json").read_text()) for one in (first, second))
    assert np.array_equal(load_splits(second.out).test.ids, splits.test.ids)
    np.testing.assert_allclose(painted["mean"], about["mean"], atol=0.02)
    assert max(painted["mean"]) < 0.6
