"""Each key of a configuration, changed alone after a run, is refused by its name, or is known to change nothing."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import ChainError, ExitCode
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import load_config
from pipeline.directory.recipe import flat
from tests.fake_stages import FakeLauncher, committed, config_in, everything, session

COLOUR = """
rounds: 2
data: {size_px: 24, sources: [{kind: folder, path: patches, patient_pattern: '(p[0-9])'}]}
splits: {validation: 0.2, test: 0.2, labels: {count: 4}}
predict: {embeddings: true}
select: {rule: balanced, propagate: {}}
student: {finetune: {}}
"""
CT = """
rounds: 1
data: {size_px: 24, mode: hu16, depth: 3, windows: [lung, bone], sources: [{kind: tree, path: patches}]}
predict: {embeddings: true}
select: {rule: top_k}
student: {finetune: {}}
"""
# what no number, no switch and no absence tells: another value of the key, and what else it needs
OTHERS: dict[str, list[str]] = {
    "data.sources.0.kind": ["data.sources.0={kind: manifest, path: patches}"],
    "data.sources.0.name": ["data.sources.0.name=other"],
    "data.sources.0.part": ["data.sources.0.part=labelled"],
    "data.sources.0.patient_pattern": ["data.sources.0.patient_pattern=(q[0-9])"],
    "data.sources.0.slide_pattern": ["data.sources.0.slide_pattern=(s[0-9])"],
    "data.sources.0.site_pattern": ["data.sources.0.site_pattern=(s[0-9])"],
    "data.mode": ["data.mode=grey8"],
    "data.encoding": ["data.encoding=raw"],
    "data.classes": ["data.classes=[a, b]"],
    "splits.unit": ["splits.unit=patch"],
    "splits.labels": ["splits.labels={fraction: 0.5}"],
    "splits.stain": ["splits.stain=macenko"],
    "splits.duplicates": ["splits.duplicates=drop"],
    "splits.folds": ["splits.folds=5", "splits.fold=1", "splits.validation=0"],
    "splits.fold": ["splits.fold=1", "splits.folds=5", "splits.validation=0"],
    "teacher.members": ["teacher.members=[{backbone: resnet10t}]"],
    "predict.embeddings": ["predict.embeddings=false", "predict.encoder={backbone: resnet10t}"],
    "predict.encoder": ["predict.encoder={backbone: resnet10t}"],
    "select.rule": ["select={rule: soft}"],
    "select.align": ["select.align=uniform"],
    "select.n_from": ["select.n_from=mean"],
    "select.propagate.most": ["select.propagate.most=1000"],
    "select.propagate": ["select.propagate={}"],
    "student.schedule": ["student.schedule=pretrain_finetune"],
    "promote.metric": ["promote.metric=accuracy"],
    "promote.test": ["promote.test=bare"],
    "per_round": ["per_round={0: {student: {steps: 7}}}"],
}
NAMED = {"per_round": "student.steps"}  # where the key is named by what it changes
# where things lie, and how they are made before a chain sees them; what sources hold is compared besides
CHANGE_NOTHING = {
    "data.sources.0.path": "data.sources.0.path=/elsewhere",
    "prepare": "prepare={kind: slides, path: x, mpp: 0.5, size_px: 64}",
}
NUMBERS = ["1", "2", "4", "0.5", "0.25", "1.5", "16", "3", "0.05"]


def candidates(key: str, before: Any, weights: Path) -> list[list[str]]:
    """Ways to change that key, each as `--set` would."""
    section = key.rpartition(".")[0]
    if key in OTHERS:
        return [OTHERS[key]]
    if key.startswith("data.windows."):
        return [["data.windows=[soft_tissue, [10, 77]]"]]
    if isinstance(before, bool):
        return [[f"{key}={json.dumps(not before)}"]]
    if key.endswith("init.licence"):
        return [[f"{section}={{kind: full, path: {weights}, licence: mine}}"]]
    if key.endswith(("init.mean", "init.std")):
        return [[f"{section}={{kind: full, path: {weights}, mean: [0.5], std: [0.5]}}"]]
    if section.endswith("init"):
        return [[f"{section}={{kind: prefix, stages: 1, path: {weights}}}"]]
    if key.endswith("backbone"):
        return [[f"{key}=resnet18"]]
    return [[f"{key}={number}"] for number in NUMBERS if before != float(number)]


def changed(run: Path, key: str, plain: ChainConfig, weights: Path) -> ChainConfig | None:
    """The configuration with that key changed, and no other as far as that can be; None: nothing else is allowed."""
    before = flat(plain.model_dump(mode="json"))[key]
    for overrides in candidates(key, before, weights):
        with contextlib.suppress(ChainError):
            if (config := load_config(run / "config.yaml", overrides)) != plain:
                return config
    return None


def test_a_key_changed_alone_is_refused_by_its_name_and_nothing_is_written(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"weights")
    refused: set[str] = set()
    fixed: set[str] = set()
    for name, text in {"colour": COLOUR, "ct": CT}.items():  # some keys are for one kind of patches only
        run = tmp_path / name
        session(run).run(config_in(tmp_path, text))
        plain, was = load_config(run / "config.yaml"), everything(run)
        for key in sorted(flat(plain.model_dump(mode="json")).keys() - CHANGE_NOTHING.keys() - refused):
            config = changed(run, key, plain, weights)
            if config is None:
                fixed.add(key)
                continue
            with pytest.raises(ChainError) as caught:
                session(run).run(config)
            error = caught.value
            assert error.code == ExitCode.MISMATCH, key
            assert NAMED.get(key, key) in error.what or error.what.endswith(" more)"), (key, error.what)
            assert "rerun" in error.todo, key
            refused.add(key)
        assert everything(run) == was
    known = {*refused, *(key.rpartition(".")[0] for key in refused), *(key.split(".0.")[0] for key in refused)}
    assert fixed <= known, "no other value is allowed: say one in OTHERS"
    assert len(refused) > 150


def test_where_things_lie_may_change(tmp_path: Path) -> None:
    run = tmp_path / "run"
    session(run).run(config_in(tmp_path, COLOUR))
    truth = committed(run)
    for override in CHANGE_NOTHING.values():
        launcher = FakeLauncher()
        session(run, launcher).run(load_config(run / "config.yaml", [override]))
        assert launcher.launched == []
    assert truth.items() - committed(run).items() == {("config.yaml", truth["config.yaml"])}
