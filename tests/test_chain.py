"""The whole chain with real stages, on a few drawn patches, through the command line."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

import run_chain
from data import fault
from data.errors import ExitCode
from tests.tiny import CHAIN

ROOT = Path(__file__).resolve().parent.parent


def committed(run: Path) -> dict[str, str]:
    files = [p for record in run.glob("**/stage.json") for p in record.parent.iterdir() if p.is_file()]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "tiny.yaml"
    path.write_text(CHAIN)
    return path


@pytest.fixture(scope="module")
def finished(config: Path) -> Path:
    run = config.parent / "plain"
    assert run_chain.main(["run", str(config), str(run), "--threads", "1"]) == 0
    return run


def test_every_round_has_the_same_four_directories(finished: Path) -> None:
    for round in ("00", "01"):
        stages = {path.name for path in (finished / "rounds" / round).iterdir()}
        assert stages == {"teacher", "predict", "select", "student"}
    assert not list((finished / ".staging").glob("*"))


def test_the_same_configuration_gives_the_same_bytes(config: Path, finished: Path) -> None:
    again = config.parent / "again"
    assert run_chain.main(["run", str(config), str(again), "--threads", "1"]) == 0
    assert committed(again) == committed(finished)


def test_running_again_changes_nothing(config: Path, finished: Path) -> None:
    before = committed(finished)
    assert run_chain.main(["run", str(config), str(finished)]) == 0
    assert run_chain.main(["resume", str(finished)]) == 0
    assert committed(finished) == before
    assert run_chain.main(["verify", str(finished)]) == 0


def test_zero_rounds_is_the_supervised_model(config: Path, finished: Path) -> None:
    supervised = config.parent / "supervised"
    words = ["run", str(config), str(supervised), "--threads", "1", "--set", "rounds=0"]
    assert run_chain.main(words) == 0
    model = (supervised / "final" / "model.safetensors").read_bytes()
    assert model == (finished / "rounds/00/teacher/model.safetensors").read_bytes()


def test_a_student_may_have_a_backbone_and_noise_of_its_own_in_a_round(config: Path, finished: Path) -> None:
    other = config.parent / "other"
    override = "per_round={1: {student: {backbone: mobilenetv3_small_050, noise: weak}}}"
    words = ["run", str(config), str(other), "--threads", "1", "--set", override, "--set", "promote.gate=false"]
    assert run_chain.main(words) == 0
    assert json.loads((other / "final/model.json").read_text())["name"] == "mobilenetv3_small_050"
    first = json.loads((other / "rounds/00/student/model.json").read_text())
    assert first["name"] == "test_resnet"


def test_the_final_model_is_finite_and_complete(finished: Path) -> None:
    import timm

    card = json.loads((finished / "final/model.json").read_text())
    network = timm.create_model(card["name"], **card["timm_kwargs"])
    tensors = load_file(finished / "final/model.safetensors")
    network.load_state_dict(tensors, strict=True)
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())
    assert len(card["classes"]) == 5
    assert {"size_px", "mean", "std", "input", "mode"} <= card.keys()


def test_given_labels_never_change_and_never_enter_the_pool(finished: Path) -> None:
    splits = pd.read_parquet(finished / "data/splits/splits.parquet")
    given = set(splits.loc[splits["split"].isin(["labelled", "validation", "test"]), "id"])
    for selection in finished.glob("rounds/*/select/selection.parquet"):
        kept = pd.read_parquet(selection)
        assert len(kept) > 0
        assert not given & set(kept["id"])


def test_changing_a_threshold_runs_select_and_what_follows_never_the_forward_pass(config: Path) -> None:
    run = config.parent / "rethought"
    assert run_chain.main(["run", str(config), str(run), "--threads", "1", "--set", "rounds=1"]) == 0
    before = committed(run)
    words = ["rerun", str(run), "--from", "rounds/00/select", "--set", "select.k=4", "--threads", "1"]
    assert run_chain.main(words) == 0
    after = committed(run)
    kept = [name for name in before if before[name] == after.get(name)]
    assert any(name.startswith("rounds/00/predict/") for name in kept)
    assert before["rounds/00/select/selection.parquet"] != after["rounds/00/select/selection.parquet"]
    assert before["rounds/00/student/model.safetensors"] != after["rounds/00/student/model.safetensors"]


def test_changed_sources_are_refused_by_name_and_touched_ones_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for label in ("benign", "tumour"):
        (tmp_path / "patches" / label).mkdir(parents=True)
        for n in range(12):
            image = rng.integers(0, 256, (24, 24, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "patches" / label / f"{n}.png"), image)
    config, run = tmp_path / "c.yaml", tmp_path / "run"
    source = "[{kind: folder, path: patches}]"
    config.write_text(re.sub(r"sources: \[.*\]", f"sources: {source}", CHAIN).replace("rounds: 2", "rounds: 0"))
    words = ["run", str(config), str(run), "--threads", "1"]
    assert run_chain.main(words) == 0
    os.utime(tmp_path / "patches" / "benign" / "0.png", (1, 1))
    assert run_chain.main(words) == 0
    (tmp_path / "patches" / "benign" / "0.png").rename(tmp_path / "patches" / "tumour" / "moved.png")
    before = committed(run)
    capsys.readouterr()
    assert run_chain.main(words) == ExitCode.MISMATCH
    assert "source main lists other patches" in capsys.readouterr().err
    assert committed(run) == before
    assert run_chain.main(["resume", str(run)]) == 0
    (tmp_path / "patches").rename(tmp_path / "elsewhere")
    assert run_chain.main(words) == 0  # the store holds them


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(config: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks.kill_demo", "--forked"]
    words += ["--kills", "8", "--config", str(config), "--into", str(tmp_path / "kills")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=400, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["kills"] == 8
    assert last["differing"] == 0


def test_a_signal_in_a_training_is_answered_with_where_it_was_saved(
    config: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault.arm("train.step@2@term")
    words = [str(config), str(tmp_path / "run"), "--threads", "1"]
    assert run_chain.main(["run", *words]) == ExitCode.PREEMPTED
    fault.arm(None)
    said = capsys.readouterr().err.splitlines()
    assert "error: pre-empted at rounds/00/teacher: saved at step 2 of 6" in said
    assert not any("Traceback" in line for line in said)
    assert run_chain.main(["resume", str(tmp_path / "run"), "--threads", "1"]) == 0
    assert "going on from step 2 of 6 (verified)" in capsys.readouterr().err
    assert committed(tmp_path / "run") == committed(finished)


def test_noise_on_the_device_is_hardware_it_resumes_to_the_same_bytes_and_changes_no_recipe(
    config: Path, finished: Path, tmp_path: Path
) -> None:
    words = ["--threads", "1", "--noise-on", "device"]
    plain, stopped = tmp_path / "plain", tmp_path / "stopped"
    assert run_chain.main(["run", str(config), str(plain), *words]) == 0
    fault.arm("train.step@9@term")  # in the student of the first round
    assert run_chain.main(["run", str(config), str(stopped), *words]) == ExitCode.PREEMPTED
    fault.arm(None)
    assert (stopped / "rounds/00/teacher").is_dir()
    assert not (stopped / "rounds/00/student").exists()
    assert run_chain.main(["resume", str(stopped), *words]) == 0
    assert committed(stopped) == committed(plain)
    start = json.loads((plain / "ledger.jsonl").read_text().splitlines()[0])
    assert start["hardware"]["noise_on"] == "device"
    first, second = (
        json.loads((run / "rounds/00/teacher/metrics.json").read_text())["history"] for run in (finished, plain)
    )
    assert [entry["loss"] for entry in second] == pytest.approx([entry["loss"] for entry in first], abs=0.02)
    before = committed(plain)
    assert run_chain.main(["run", str(config), str(plain), "--threads", "1"]) == 0, "another flag, the same recipes"
    assert committed(plain) == before
