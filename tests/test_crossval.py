"""The verb with real stages: nothing of a fold reaches the models that are judged by it."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import run_chain
from data.errors import ExitCode
from data.splits.written import load_splits
from pipeline.config.reading import load_config
from pipeline.crossval.session import ADVICE
from pipeline.plan import at, plan
from stages.measures.judged import read_judged
from stages.measures.quality import balanced_accuracy, confusion
from stages.select.selection import read_selection
from tests.tiny import CHAIN

DOCS = (Path(__file__).resolve().parents[1] / "docs" / "crossval.md").read_text(encoding="utf-8")
NO_VALIDATION = CHAIN.replace("validation: 0.2, ", "").replace("rounds: 2", "rounds: 1").replace("count: 4", "count: 6")
FOLDS = 2


def main(*words: object) -> int:
    return int(run_chain.main([str(word) for word in words]))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation; what it printed is in `said`, what it logged on the screen in `logged`."""
    folder = tmp_path_factory.mktemp("crossval")
    (folder / "tiny.yaml").write_text(NO_VALIDATION)
    with (
        pytest.MonkeyPatch.context() as patch,
        (folder / "said").open("w") as said,
        (folder / "logged").open("w") as logged,
    ):
        patch.setattr("sys.stdout", said)
        patch.setattr("sys.stderr", logged)
        assert main("crossval", folder / "tiny.yaml", folder / "cv", "--folds", FOLDS, "--threads", 1) == 0
    return folder / "cv"


def result(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "crossval.json").read_text())
    return found


def test_each_label_judges_once_and_the_last_chain_learns_from_all(done: Path) -> None:
    folds = [load_splits(done / f"fold-{k}" / "data" / "splits") for k in range(FOLDS)]
    last = load_splits(done / "chain" / "data" / "splits")
    judged = np.sort(np.concatenate([fold.validation.ids for fold in folds]))
    assert np.array_equal(judged, last.labelled.ids)
    assert len(last.validation) == 0
    for k, fold in enumerate(folds):
        assert np.array_equal(np.union1d(fold.labelled.ids, fold.validation.ids), last.labelled.ids)
        assert np.array_equal(fold.test.ids, last.test.ids)
        kept = read_selection(done / f"fold-{k}" / at(0, "select") / "selection.parquet")
        assert not np.isin(kept.ids, fold.validation.ids).any()
        assert json.loads((done / f"fold-{k}" / at(0, "select") / "quality.json").read_text())["temperature"] == 1


def test_the_figures_are_those_of_the_files(done: Path) -> None:
    found = result(done)
    for n, place in enumerate((at(0, "teacher"), "final")):
        models = [read_judged(done / f"fold-{k}" / place) for k in range(FOLDS)]
        counts = sum(confusion(one.label, one.predicted, 5) for one in models if one is not None)
        assert found["rounds"][n]["figure"] == pytest.approx(balanced_accuracy(np.asarray(counts)), abs=1e-6)
        assert found["labels"] == np.sum(counts) == 30
    assert load_config(done / "chain" / "config.yaml").rounds == found["chosen"]
    said = (done.parent / "said").read_text()
    assert f"chosen: {found['chosen']} round" in said
    assert "3 chains of up to 1 round and 2 trainings: at most 6 trainings" in said
    assert str(done / "chain" / "final") in said


def test_the_last_chain_does_not_advise_the_verb_that_runs_it(done: Path) -> None:
    assert ADVICE in (done / "chain" / "logs" / "data" / "splits" / "stage.log").read_text()  # it has none
    logged = (done.parent / "logged").read_text()
    assert "chain: " in logged
    assert ADVICE not in logged


def test_what_a_fold_says_changes_nothing_its_chain_learns(
    done: Path, tmp_path: Path, make_order: Callable[..., Any]
) -> None:
    """Every label of the fold is turned into another, and the same bytes come out: weights, scores, pseudo-labels."""
    from stages.predict.stage import run as predict
    from stages.select.stage import run as select
    from stages.train.stage import run as train

    fold, splits = done / "fold-0", tmp_path / "splits"
    splits.mkdir()
    for path in (fold / "data" / "splits").glob("*.json"):
        (splits / path.name).write_bytes(path.read_bytes())
    table = pd.read_parquet(fold / "data" / "splits" / "splits.parquet")
    turned = table["split"] == "validation"
    assert turned.sum() > 5
    table.loc[turned, "label"] = ((table.loc[turned, "label"] + 1) % 5).astype("int16")
    table.to_parquet(splits / "splits.parquet")
    (splits / "audit.parquet").write_bytes((fold / "data" / "splits" / "audit.parquet").read_bytes())
    config = load_config(fold / "config.yaml")
    place = {"data/store": fold / "data" / "store", "data/splits": splits}
    for step in plan(config)[2:-1]:
        section = config.section_of(step).model_dump(mode="json")
        job = make_order(step.kind, step.address, tmp_path, section, {k: place[v] for k, v in step.inputs.items()})
        {"train": train, "predict": predict, "select": select}[step.kind](job)
        place[step.address] = job.out
    same = (
        "rounds/00/teacher/model.safetensors",
        "rounds/00/select/selection.parquet",
        "rounds/00/student/model.safetensors",
    )
    for name in same:
        assert (tmp_path / name).read_bytes() == (fold / name).read_bytes(), name
    metrics = [json.loads((where / at(0, "student") / "metrics.json").read_text()) for where in (tmp_path, fold)]
    assert metrics[0]["validation"] != metrics[1]["validation"]  # it judges


def test_every_run_in_it_is_a_run(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run in ("fold-1", "chain"):
        for verb in ("status", "inspect", "verify"):
            assert main(verb, done / run) == 0
    capsys.readouterr()
    before = {path: path.stat().st_mtime_ns for path in done.glob("*/rounds/*/*/*")} | {done: result(done)}
    assert main("crossval", done.parent / "tiny.yaml", done, "--folds", FOLDS, "--threads", 1, "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in done.glob("*/rounds/*/*/*")} | {done: result(done)} == before


def test_refusals_are_three_lines_with_their_code(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = done.parent / "tiny.yaml"
    assert main("crossval", config, tmp_path / "cv", "--folds", 9) == ExitCode.BAD_DATA
    shown = capsys.readouterr().err.splitlines()[-3:]
    assert shown[0].startswith("error: fold-0: splits.folds: 9, but the labels of class ")
    assert "patients" in shown[0]
    assert "use fewer folds" in shown[2]
    # what it says to do: the patches that were read stay
    assert main("crossval", config, tmp_path / "cv", "--folds", 8, "--quiet") == ExitCode.BAD_DATA
    assert "splits.folds: 8" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "cv" / "fold-0" / "data").iterdir()) == ["store"]
    assert main("crossval", config, done, "--folds", 3) == ExitCode.MISMATCH
    assert main("crossval", config, tmp_path / "cv", "--launcher", "external") == ExitCode.USAGE
    with pytest.raises(SystemExit) as caught:
        main("crossval", config, tmp_path / "cv", "--folds", 1)
    assert caught.value.code == ExitCode.USAGE
    assert main("check", config, "--set", "select={rule: risk}", "--set", "splits.validation=0") == ExitCode.MISMATCH
    assert "needs labelled validation patches" in capsys.readouterr().err


def test_where_nothing_validates_check_and_the_gate_name_this_verb(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run = done.parent / "tiny.yaml", done.parent / "run"
    assert main("check", config, "--set", "splits.validation=0") == 0
    assert "`crossval" in capsys.readouterr().out
    words = ("--set", "splits.validation=0", "--threads", 1, "--quiet")
    assert main("run", config, run, *words) == 0
    assert "`crossval CONFIG OUT`" in json.loads((run / "final" / "promotion.json").read_text())["reason"]


def test_the_commands_of_the_page_are_the_programs() -> None:
    commands = [
        shlex.split(line, comments=True)[2:] for line in re.findall(r"^python run_chain.py .*", DOCS, flags=re.M)
    ]
    assert [words[0] for words in commands].count("crossval") >= 1
    for words in commands:
        args = run_chain._parser().parse_args(words)
        if args.name == "crossval" and args.config.suffix:
            load_config(Path(__file__).resolve().parents[1] / args.config, args.set)
