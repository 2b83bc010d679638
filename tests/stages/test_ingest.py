import json

import numpy as np
import pytest
from PIL import Image

from data.errors import ChainError
from data.store.patch_store import PatchStore
from stages.ingest import run
from stages.job import Job


@pytest.fixture
def job(tmp_path):
    """A job on two classes of three patches."""
    for label in "AB":
        (tmp_path / "patches" / label).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((8, 8, 3), 40 * i + ord(label), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "patches" / label / f"{i}.png")
    for name in ("out", "work", "log"):
        (tmp_path / "staging" / name).mkdir(parents=True)
    at = tmp_path / "staging"
    section = {"size_px": 8, "sources": [{"kind": "folder", "path": str(tmp_path / "patches")}]}
    return Job("data/store", "ingest", 0, 0, section, {}, at / "out", at / "work", at / "log")


def test_the_stage_leaves_its_four_files(job):
    summary = run(job)
    assert summary.startswith("6 patches of 8 px (rgb8), 2 classes, none in quarantine; ")
    assert summary.endswith(" patches/s")
    assert sorted(path.name for path in job.out.iterdir()) == [
        *("patches.h5", "quarantine.csv", "sources.json", "store.json")
    ]
    store = {"n": 6, "mode": "rgb8", "size_px": 8, "classes": ["A", "B"]}
    assert json.loads((job.out / "store.json").read_text()) == store
    counts = json.loads((job.out / "sources.json").read_text())["main"]
    assert (counts["listed"], counts["stored"], counts["quarantined"], len(counts["listing_sha256"])) == (6, 6, 0, 64)
    PatchStore(job.out / "patches.h5").verify()


def test_over_the_limit_only_the_table_is_left_beside_the_stage(job, tmp_path):
    path = tmp_path / "patches" / "A" / "0.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ChainError) as caught:
        run(job)
    assert caught.value.code == 65
    assert "quarantine.csv in the run directory" in caught.value.todo
    assert list(job.out.iterdir()) == []
    assert (job.out.parent / "quarantine.csv").read_text().count("\n") == 2


def test_the_stage_repeats_byte_for_byte(job):
    run(job)
    first = {path.name: path.read_bytes() for path in job.out.iterdir()}
    run(job)
    assert first == {path.name: path.read_bytes() for path in job.out.iterdir()}
