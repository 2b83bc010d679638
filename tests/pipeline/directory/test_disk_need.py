"""What a chain is going to write is known before it is begun, and what a disk has no room for is not begun."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.errors import ChainError, ExitCode
from pipeline.directory.disk_need import disk_need, refuse_short_disk
from pipeline.directory.layout import Layout
from tests.fake_stages import CONFIG, config_in

WEIGHTS = {"teacher": 1000, "student": 2000}
SEEN = {"teacher": 300, "student": 200, "encoder": 700}
ROW = 8 + 2 * 4  # of a score, of four classes


@pytest.fixture
def config(tmp_path: Path):
    return config_in(tmp_path, CONFIG, "rounds=3")


def test_every_round_writes_what_its_teacher_sees_and_the_first_what_the_encoder_does(config) -> None:
    need = disk_need(config, 50, 4, WEIGHTS, SEEN)
    # of the largest labelling the shards too, beside what is made of them
    assert need.scores == 50 * ROW * (3 + 1)
    assert need.embeddings == 50 * (1000 + 200 + 200 + 1000)
    assert need.total == need.scores + need.embeddings + need.models + need.checkpoints
    assert disk_need(config, 50, 4, WEIGHTS, {}).embeddings == 0


def test_what_stands_needs_no_room(config) -> None:
    need = disk_need(config, 50, 4, WEIGHTS, SEEN, {"rounds/00/predict", "rounds/01/predict"})
    assert (need.scores, need.embeddings) == (50 * ROW * 2, 50 * 400)
    rounds = {f"rounds/{k:02d}/predict" for k in range(3)}
    need = disk_need(config, 50, 4, WEIGHTS, SEEN, rounds)
    assert (need.scores, need.embeddings) == (0, 0)


def test_what_later_rounds_see_is_told_from_the_first(config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "run")
    patches = {"pool": 60, "validation": 20, "test": 10, "labelled": 10, "unused": 5}
    splits, predict = layout.place("data/splits"), layout.place("rounds/00/predict")
    for folder in (splits, predict):
        folder.mkdir(parents=True)
        (folder / "stage.json").write_text("{}")
    (splits / "splits.json").write_text(json.dumps({"patches": patches, "classes": list("abcd")}))
    free = 90 * ROW * 3 + 90 * 500 * 3  # the scores and embeddings of two rounds, and one's shards
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    refuse_short_disk(layout, config)
    (predict / "embeddings.h5").write_bytes(bytes(100 * 500))
    refuse_short_disk(layout, config)
    (predict / "embeddings.h5").write_bytes(bytes(100 * 600))
    with pytest.raises(ChainError, match="what is left of the chain") as refused:
        refuse_short_disk(layout, config)
    assert refused.value.code == ExitCode.IO
