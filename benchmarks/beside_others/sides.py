"""The three sides: the command of each, and what its model says of the test patches."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from benchmarks.beside_others import judge
from benchmarks.beside_others.launch import STEPS
from benchmarks.beside_others.patches import CHAIN, Rows
from benchmarks.beside_others.setting import Setting
from benchmarks.beside_others.shims import NETWORK, wilds_name
from benchmarks.beside_others.wilds_set import NAME

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("ours", "wilds", "sklearn")
# nearly all of the pool, and never all of it twice: WILDS trains on all, where the chain would say that it is exhausted
TAU = 0.5
LAUNCH = (sys.executable, "-m", "benchmarks.beside_others.launch")


@dataclass(frozen=True)
class Desk:
    """What every run is made of. folder: of the patches; examples: of WILDS; workers: loader processes of WILDS."""

    setting: Setting
    folder: Path
    rows: Rows
    examples: Path | None = None
    workers: int = 0

    @property
    def classes(self) -> int:
        return len(self.rows.classes)

    @property
    def weights(self) -> Path | None:
        """Which all sides begin with; None: random ones."""
        path = self.folder / "weights.pth"
        return path if path.is_file() else None

    def env(self, into: Path) -> dict[str, str]:
        """For the commands: two threads, the counter of steps, and `python` as WILDS' wrapper calls it."""
        threads = str(self.setting.threads)
        return {
            **os.environ, STEPS: str(into / "steps"), NETWORK: self.setting.network, "NO_ALBUMENTATIONS_UPDATE": "1",
            "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads,
            "PATH": os.pathsep.join([str(into / "bin"), os.environ.get("PATH", "")]),
        }  # fmt: skip


def command(side: str, desk: Desk, into: Path) -> list[str]:
    """Of a whole chain in `into`; the same words begin it and go on with it. Run in the project's root."""
    into.mkdir(parents=True, exist_ok=True)
    if side == "ours":
        path = into / "config.yaml"
        path.write_text(yaml.safe_dump(config(desk), sort_keys=False))
        words = ["run", str(path), str(into / "run"), "--device", "cpu", "--threads", str(desk.setting.threads)]
        return [*LAUNCH, str(ROOT / "run_chain.py"), *words, "--precision", desk.setting.precision, "--quiet"]
    if side == "sklearn":
        words = [str(desk.folder), desk.setting.network, str(into / "said.npy")]
        return [sys.executable, "-m", "benchmarks.beside_others.frozen", *words]
    python = into / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.join(LAUNCH)} "$@"\n')
    python.chmod(0o755)
    teacher, students = wilds_words(desk, into)
    return ["sh", "-c", f"{shlex.join(['python', *teacher])} && {shlex.join(['python', *students])}"]


def says(side: str, desk: Desk, into: Path) -> np.ndarray:
    """(N,) codes of the test patches, by the side's last model."""
    if side == "ours":
        return judge.chain_says(desk.folder, desk.rows, into / "run" / "final")
    if side == "wilds":
        last = into / f"student{desk.setting.rounds}" / f"{NAME}_seed:0_epoch:best_model.pth"
        return judge.wilds_says(desk.folder, desk.rows, desk.setting.network, last)
    return np.load(into / "said.npy")


def config(desk: Desk) -> dict[str, object]:
    """Of our chain: nearly all of the pool is kept, and every student is the next teacher, as in WILDS.

    Test patches are no part of it: no side sees them before its last model is judged.
    """
    one = desk.setting
    network: dict[str, object] = {
        "backbone": one.network, "lr": one.lr, "weight_decay": one.weight_decay, "warmup": one.warmup,
        "ema_decay": 0.0,  # WILDS averages no weights, and so few steps leave an average behind
    }  # fmt: skip
    init = {"kind": "full", "path": str(desk.weights)} if desk.weights else {"kind": "random"}
    teacher = {
        "init": init, "steps": one.teacher_steps(desk.classes), "batch_size": one.teacher_batch, "noise": "weak",
        "evaluate_every": one.epoch(one.teacher_batch, desk.classes),
    }  # fmt: skip
    student = {
        "warm_start": True, "steps": one.student_steps(desk.classes), "batch_size": one.student_batch,
        "evaluate_every": one.epoch(one.student_batch, desk.classes), "unlabeled_ratio": one.ratio,
        "soft_labels": False, "dropout": one.dropout, "drop_path": 0.0, "noise": "strong",
    }  # fmt: skip
    return {
        "seed": 0,
        "rounds": one.rounds,
        "data": {
            "size_px": one.size_px,
            "sources": [{"kind": "manifest", "path": str(desk.folder / CHAIN), "part": "split"}],
        },
        "splits": {"labels": "all", "test": 0, "duplicates": "drop"},
        "teacher": network | teacher,
        "predict": {"views": 1},
        "select": {"rule": "threshold", "tau": TAU},
        "student": network | student,
        "promote": {"metric": "balanced_accuracy", "gate": False},
    }


def wilds_words(desk: Desk, into: Path) -> tuple[list[str], list[str]]:
    """The first teacher by run_expt.py, and the rounds by noisy_student_wrapper.py, which begins with its weights.

    `--resume`: what an interrupted run has saved after an epoch is gone on with; without it all would begin anew.
    """
    assert desk.examples is not None, "without --wilds this side cannot run"
    one, side = desk.setting, str(desk.setting.size_px)
    shared: Mapping[str, list[str]] = {
        "--dataset": [NAME], "--root_dir": [str(desk.folder)],
        "--model": [wilds_name(one.network, one)], "--model_kwargs": ["pretrained=False"],
        "--target_resolution": [side, side], "--optimizer": ["AdamW"], "--lr": [str(one.lr)],
        "--weight_decay": [str(one.weight_decay)], "--max_grad_norm": ["1.0"],
        "--scheduler": ["cosine_schedule_with_warmup"], "--seed": ["0"], "--evaluate_all_splits": ["False"],
        "--loader_kwargs": [f"num_workers={desk.workers}", "pin_memory=False"],
        "--unlabeled_loader_kwargs": [f"num_workers={desk.workers}", "pin_memory=False"],
        "--resume": ["True"], "--gradient_accumulation_steps": ["1"],
    }  # fmt: skip
    first = shared | {
        "--algorithm": ["ERM"], "--n_epochs": [str(one.teacher_epochs)], "--batch_size": [str(one.teacher_batch)],
        "--scheduler_kwargs": [f"num_warmup_steps={round(one.warmup * one.teacher_steps(desk.classes))}"],
        "--additional_train_transform": ["weak"], "--log_dir": [str(into / "teacher")],
    }  # fmt: skip
    if desk.weights:
        first |= {"--pretrained_model_path": [str(desk.weights)], "--load_featurizer_only": ["True"]}
    students = shared | {
        "--n_epochs": [str(one.student_epochs)], "--batch_size": [str(one.student_batch)],
        "--unlabeled_split": ["train_unlabeled"], "--unlabeled_batch_size": [str(one.ratio * one.student_batch)],
        "--scheduler_kwargs": [f"num_warmup_steps={round(one.warmup * one.student_steps(desk.classes))}"],
        "--noisystudent_dropout_rate": [str(one.dropout)], "--log_dir": [str(into)],
    }  # fmt: skip
    teacher = into / "teacher" / f"{NAME}_seed:0_epoch:best_model.pth"
    return (
        [str(desk.examples / "run_expt.py"), *_flat(first)],
        [str(desk.examples / "noisy_student_wrapper.py"), str(one.rounds), str(teacher), *_flat(students)],
    )


def _flat(words: Mapping[str, list[str]]) -> list[str]:
    return [word for name, values in words.items() for word in (name, *values)]
