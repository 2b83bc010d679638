"""Every preset, at every size, is a configuration that the program accepts, and spends what the size says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.label_efficiency.configs import ROOT, all_labels, chain, overridden, preset_path, read_preset
from benchmarks.label_efficiency.sizes import SIZES, SizeName
from data.errors import ChainError
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import load_config
from stages.train.config import TrainConfig

PRESETS = sorted(path.stem for path in (ROOT / "configs" / "presets").glob("*.yaml"))


def made(preset: str, size: SizeName, mode: str = "rgb8", px: int = 96, pool: float = 900) -> dict[str, Any]:
    source = {"kind": "manifest", "path": "manifest.csv"}
    data = {"size_px": px, "mode": mode, "sources": [source]}
    return chain(read_preset(preset), data, 7, SIZES[size], Path("/weights/lite0.safetensors"), pool)


def loaded(config: dict[str, Any], at: Path) -> ChainConfig:
    (at / "config.yaml").write_text(yaml.safe_dump(config))
    return load_config(at / "config.yaml")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mode", ["rgb8", "grey8"])
def test_presets_are_accepted_at_every_size(preset: str, size: SizeName, mode: str, tmp_path: Path) -> None:
    config = loaded(made(preset, size, mode), tmp_path)
    assert config.seed == config.splits.seed == 7
    assert config.rounds == SIZES[size].rounds
    assert config.student.total_steps == SIZES[size].student_steps
    assert config.teacher.steps == SIZES[size].teacher_steps
    assert {config.teacher.backbone, config.student.backbone} == {SIZES[size].backbone}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_ceiling_has_the_students_network_recipe_and_steps(preset: str, tmp_path: Path) -> None:
    config = made(preset, "small")
    ceiling = loaded(all_labels(config, config["data"]), tmp_path)
    student = loaded(config, tmp_path).student
    assert ceiling.rounds == 0
    assert ceiling.splits.labels == "all"
    # weights that are handed on from round to round have taken the steps of all of them
    assert ceiling.teacher.steps == student.total_steps * (SIZES["small"].rounds if student.warm_start else 1)
    assert abs(ceiling.teacher.batch_size - SIZES["small"].student_batch) <= 2
    same = set(TrainConfig.model_fields) - {"steps", "evaluate_every", "batch_size", "snapshots"}
    assert {name: getattr(ceiling.teacher, name) for name in same} == {name: getattr(student, name) for name in same}


def test_a_rule_keeps_its_share_of_a_smaller_pool(tmp_path: Path) -> None:
    large, small = (loaded(made("shaw2020", "small", pool=pool), tmp_path).select for pool in (1800, 180))
    assert (large.k, small.k) == (600, 60)  # type: ignore[attr-defined]


def test_sizes_bring_patches_to_the_networks_stride() -> None:
    assert [SIZES["small"].px(native) for native in (27, 50, 96, 512)] == [64, 64, 96, 96]
    assert [SIZES["full"].px(native) for native in (27, 50, 96, 512)] == [96, 96, 192, 224]


def test_a_setting_reaches_its_key_and_leaves_the_rest() -> None:
    config = made("default", "toy")
    changed = overridden(config, {"student.lr": 0.25, "promote.gate": False})
    assert changed["student"]["lr"] == 0.25
    assert changed["promote"]["gate"] is False
    assert config["student"]["lr"] != 0.25


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ChainError, match="no preset is called nonesuch"):
        preset_path("nonesuch")
