"""A chain as a cell: run by the program itself, then read back: what each teacher says of the pool and of test."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import run_chain
from benchmarks.label_efficiency.cells import Cell, Counted
from benchmarks.label_efficiency.intervals import Predictions, judged
from benchmarks.label_efficiency.listing import Listing
from benchmarks.sets import EndedError
from data.errors import ExitCode
from data.files.atomic import sha256_file, write_bytes
from data.splits.written import load_audit, load_splits
from pipeline.config.reading import load_config
from pipeline.directory import ledger
from pipeline.directory.layout import Layout
from pipeline.plan import at
from stages.job import Hardware, Job
from stages.scores import read_scores

# outcomes of the method, not of the machine: noted, and the other cells go on
OUTCOMES = {ExitCode.DIVERGED: "diverged", ExitCode.BAD_DATA: "refused"}


class FailedError(Exception):
    """This chain has no result; others may have."""


@dataclass(frozen=True)
class Machine:
    """How to run, not what."""

    device: str = "auto"
    precision: str = "32"
    workers: int = 0
    threads: int = 0

    def words(self) -> list[str]:
        """As the command line takes them."""
        pairs = (
            ("device", self.device),
            ("precision", self.precision),
            ("workers", self.workers),
            ("threads", self.threads),
        )
        return [word for name, value in pairs for word in (f"--{name}", str(value))]

    def hardware(self) -> Hardware:
        """As a stage takes them."""
        return Hardware(self.device, self.precision, self.workers, self.threads)


def chain_cell(
    cell: Cell, config: dict[str, Any], manifest: bytes, listing: Listing, machine: Machine, drop_store: bool
) -> tuple[dict[str, Any], Counted]:
    """Run a chain, or go on with it, and judge the model it would hand over after 0, 1, ... rounds.

    Each on both columns: `pool` (hidden truth of the pool's patches, where it is known) and `unseen` (the test split).
    Raises EndedError when the program was stopped or cannot go on, FailedError when this chain has no result.
    """
    if (done := cell.done()) is not None:
        return done
    cell.place.mkdir(parents=True, exist_ok=True)
    write_bytes(cell.place / "manifest.csv", manifest)
    write_bytes(cell.place / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())
    run = cell.place / "run"
    code = run_chain.main(["run", str(cell.place / "config.yaml"), str(run), "--quiet", *machine.words()])
    if code in OUTCOMES:
        raise FailedError(OUTCOMES[ExitCode(code)])
    if code:
        raise EndedError(code)
    result, counted = read_back(run, cell, listing, machine)
    cell.keep(result, counted)
    if drop_store:
        shutil.rmtree(run / "data" / "store")
    return result, counted


def read_back(run: Path, cell: Cell, listing: Listing, machine: Machine) -> tuple[dict[str, Any], Counted]:
    """The rows of a finished chain and their tallies, by `round/column`."""
    rounds = load_config(run / "config.yaml").rounds
    splits, spent = load_splits(run / "data" / "splits"), ledger.seconds(run / "ledger.jsonl")
    rows: list[dict[str, Any]] = []
    counted: Counted = {}
    before: list[str] = []
    for r in range(rounds + 1):
        # a chain that the gate has ended hands over its last teacher, whatever round is asked for
        own = run / at(r, "teacher")
        model = own if r < rounds and own.is_dir() else run / "final"
        weights = _weights(model)
        row: dict[str, Any] = {"round": r, "same_as_before": weights == before, "seconds": _seconds(spent, r)}
        for column, said in predictions(_scores_of(run, weights, cell, rounds, machine), run, listing).items():
            if len(said):
                row[column], counted[f"{r}/{column}"] = judged(said, column)
        if r < rounds:
            row["kept"] = _kept(run / at(r, "select") / "quality.json")
        rows.append(row)
        before = weights
    shutil.rmtree(cell.place / "scratch", ignore_errors=True)
    given = {"training": len(splits.labelled), "validation": len(splits.validation), "pool": len(splits.pool)}
    return {"labels": given, "rows": rows}, counted


def predictions(scores: Path, run: Path, listing: Listing) -> dict[str, Predictions]:
    """What a scores.h5 says of the pool's patches whose truth is known, and of the test split."""
    splits, audit = load_splits(run / "data" / "splits"), load_audit(run / "data" / "splits")
    found = {}
    for column, part, ids, label in (
        ("pool", "pool", audit.ids, audit.label),
        ("unseen", "test", splits.test.ids, splits.test.label),
    ):
        kept = read_scores(scores, part)
        rows = np.searchsorted(kept.ids, ids)
        found[column] = Predictions(ids, kept.log_probs[rows], label.astype(np.int64), listing.group[listing.rows(ids)])
    return found


def _scores_of(run: Path, weights: list[str], cell: Cell, rounds: int, machine: Machine) -> Path:
    """scores.h5 of a model: of the round that has scored it, else, for the last one, made by the predict stage."""
    for r in range(rounds):
        scores = run / at(r, "predict") / "scores.h5"
        if scores.is_file() and _weights(run / at(r, "teacher")) == weights:
            return scores
    assert _weights(run / "final") == weights, "every teacher but the last is scored by its chain"
    from stages.predict.stage import run as predict

    scratch = cell.place / "scratch"
    if not (scratch / "scores.h5").is_file():
        config = load_config(run / "config.yaml")
        section = json.loads(config.predict.model_copy(update={"mc_passes": 0}).model_dump_json())
        inputs = {"teacher": run / "final", "store": run / "data" / "store", "splits": run / "data" / "splits"}
        work = scratch / "work"
        work.mkdir(parents=True, exist_ok=True)
        log, hardware = scratch / "log", machine.hardware()
        predict(Job("final", "predict", rounds, config.seed, section, inputs, scratch, work, log, hardware))
    return scratch / "scores.h5"


def _weights(directory: Path) -> list[str]:
    return [sha256_file(path) for path in sorted(directory.glob("model*.safetensors"))]


def _seconds(spent: dict[str, float], r: int) -> float:
    """Wall time of every step up to the model handed over after `r` rounds; reading and splitting apart."""
    names = [at(0, "teacher")] + [at(k, name) for k in range(r) for name in ("predict", "select", "student")]
    return round(sum(spent.get(name, 0.0) for name in names), 1)


def _kept(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    total = json.loads(path.read_bytes())["total"]
    return {"kept": total["kept"], "audit": total["audit"]}


def splits_of(cell: Cell) -> Path:
    """Where a chain's splits lie."""
    return Layout(cell.place / "run").place("data/splits")
