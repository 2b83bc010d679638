"""The verb over fake stages: what it runs, skips, decides, refuses, and how it goes on after a kill.

The stages write what the verb reads: what each model says of its fold, right in a share told beforehand. That is all
it knows of them, so real ones would add nothing but time; tests/test_crossval.py has those.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import load_config
from pipeline.crossval.configs import trainings
from pipeline.crossval.session import CrossValidation
from pipeline.directory.crossval import CrossLayout
from pipeline.directory.layout import Layout
from pipeline.session import Session
from pipeline.views.status import stopped_at
from stages.job import Job
from stages.measures.judged import FILE, Judged, write_judged
from stages.process.signals import Ended
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, everything, session

TWO = CONFIG.replace("rounds: 1", "rounds: 2") + "promote: {metric: accuracy}\n"
PATCHES, PATIENTS = 60, 10  # of each fold


def run_of(job: Job) -> str:
    """fold-0, fold-1, ... or chain."""
    return next(part.name for part in job.out.parents if part.name.startswith(("fold-", "chain")))


class Stages(FakeLauncher):
    """`right`: the share each model has right of its fold, by rounds; `ends`: run -> address -> reason of its stop."""

    def __init__(
        self,
        right: Sequence[float] = (0.6, 0.9, 0.7),
        ends: dict[str, dict[str, str]] | None = None,
        before: Callable[[Job], None] = lambda job: None,
    ) -> None:
        super().__init__(before=self._judge)
        self.right, self.ends, self.also = right, ends or {}, before

    def launch(self, job: Job, lock_fd: int) -> str:
        self.stops = self.ends.get(run_of(job), {})
        said = super().launch(job, lock_fd)
        self.launched[-1] = f"{run_of(job)}/{job.address}"
        return said

    def _judge(self, job: Job) -> None:
        if job.kind in ("train", "promote") and run_of(job) != "chain":
            if job.kind == "promote":
                winner = job.inputs.get("student", job.inputs["teacher"])
                shutil.copyfile(winner / FILE, job.out / FILE)
            else:
                rounds = job.round + job.address.endswith("student")
                write_judged(job.out, judged(int(run_of(job).removeprefix("fold-")), self.right[rounds], rounds))
        self.also(job)


def judged(fold: int, right: float, seed: int) -> Judged:
    label = np.random.default_rng(fold).integers(0, 2, PATCHES).astype(np.int16)
    wrong = np.ones(PATCHES, bool)
    wrong[np.random.default_rng(seed).permutation(PATCHES)[: round(right * PATCHES)]] = False
    log_probs = np.log(np.where(np.arange(2) == (label ^ wrong)[:, None], 0.9, 0.1)).astype(np.float32)
    ids = np.arange(PATCHES) * 100 + fold
    return Judged(ids.astype(np.uint64), log_probs, label, np.arange(PATCHES) % PATIENTS + fold * PATIENTS)


def crossval(root: Path, launcher: FakeLauncher, said: list[str] | None = None) -> CrossValidation:
    @contextlib.contextmanager
    def opened(run: Layout) -> Iterator[Session]:
        yield session(run.root, launcher)

    return CrossValidation(CrossLayout(root), opened, (said if said is not None else []).extend)


def result(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "crossval.json").read_text())
    return found


def whole(root: Path) -> dict[str, str]:
    """Every committed byte of every run, and the result."""
    runs = [path for path in root.iterdir() if path.is_dir() and path.name != "logs"]
    files = {f"{run.name}/{name}": digest for run in runs for name, digest in committed(run).items()}
    return files | {"result": (root / "crossval.json").read_text()}


def refused(do: Callable[[], object]) -> ChainError:
    with pytest.raises(ChainError) as caught:
        do()
    return caught.value


@pytest.fixture
def config(tmp_path: Path) -> ChainConfig:
    return config_in(tmp_path, TWO)


def test_each_fold_is_a_run_and_the_last_one_has_the_rounds_that_are_worth_it(
    tmp_path: Path, config: ChainConfig
) -> None:
    said: list[str] = []
    launcher, root = Stages(), tmp_path / "cv"
    assert crossval(root, launcher, said).run(config, 3).reason == "max_rounds"
    found = result(root)
    assert (found["chosen"], found["labels"], found["groups"], found["folds"]) == (1, 3 * PATCHES, 3 * PATIENTS, 3)
    assert [row["figure"] for row in found["rounds"]] == pytest.approx([0.6, 0.9, 0.7])
    assert all(len(row["folds"]) == 3 for row in found["rounds"])
    for k in range(3):
        fold = load_config(root / f"fold-{k}" / "config.yaml")
        assert (fold.splits.folds, fold.splits.fold, fold.splits.validation) == (3, k, 0)
        assert (fold.rounds, fold.promote.gate) == (2, False)
    last = load_config(root / "chain" / "config.yaml")
    assert (last.splits.folds, last.splits.fold, last.splits.validation) == (None, None, 0)
    assert (last.rounds, last.promote.gate) == (1, False)
    assert [one for one in launcher.launched if one.endswith("data/store")] == ["fold-0/data/store"]  # once for all
    text = "\n".join(said)
    assert "4 chains of up to 2 rounds and 3 trainings: at most 12 trainings, and 4 times what `run` costs" in text
    assert "chosen: 1 round: the last round that is not found worse than the best before" in text
    assert len([line for line in said if line.endswith("no")]) == 1


def test_the_same_command_again_runs_nothing_and_says_what_is_done(tmp_path: Path, config: ChainConfig) -> None:
    root = tmp_path / "cv"
    crossval(root, Stages()).run(config, 2)
    before, launcher, said = whole(root), Stages(), list[str]()
    crossval(root, launcher, said).run(config, 2)
    assert launcher.launched == []
    assert whole(root) == before
    (root / "chain" / "final").rename(tmp_path / "gone")
    crossval(root, Stages(), said := []).run(config, 2)
    assert any(line.startswith("done already: fold-0, fold-1, in") for line in said)
    assert whole(root) == before


@pytest.mark.parametrize("at", [0, 9, 12, 20])
def test_ended_anywhere_it_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, config: ChainConfig, at: int) -> None:
    crossval(tmp_path / "whole", Stages()).run(config, 2)
    root, launched = tmp_path / "cv", list[str]()

    def end(job: Job) -> None:
        launched.append(f"{run_of(job)}/{job.address}")
        if len(launched) == at + 1:
            raise Ended(ExitCode.PREEMPTED)

    launcher = Stages(before=end)
    with pytest.raises(Ended) as caught:
        crossval(root, launcher).run(config, 2)
    assert caught.value.at == launched[at]
    assert not (root / "crossval.json").exists() or launched[at].startswith("chain")
    crossval(root, launcher).run(config, 2)
    assert whole(root) == whole(tmp_path / "whole")
    assert len(launched) == len(set(launched)) + 1  # the step that was ended is all that was done twice


def test_where_a_fold_has_ended_the_teacher_it_kept_stands_in(tmp_path: Path, config: ChainConfig) -> None:
    root, said = tmp_path / "cv", list[str]()
    ends = {"fold-1": {"rounds/01/select": "no_change"}}
    crossval(root, Stages((0.5, 0.7, 0.9), ends), said).run(config, 2)
    found = result(root)
    assert found["ended"] == [{"fold": 1, "rounds": 1, "reason": "no_change", "detail": "as told"}]
    assert found["rounds"][2]["folds"] == pytest.approx([0.9, 0.7])
    assert found["rounds"][2]["figure"] == pytest.approx(0.8)
    assert any("fold 1 ended after 1 round: no_change (as told)" in line for line in said)
    stop = stopped_at(Layout(root / "fold-1"))
    assert stop is not None
    assert stop.reason == "no_change"


def test_rounds_that_no_chain_came_to_are_not_weighed(tmp_path: Path, config: ChainConfig) -> None:
    for at, reached in (("rounds/00/select", 0), ("rounds/01/select", 1)):
        root = tmp_path / f"cv-{reached}"
        ends = {f"fold-{k}": {at: "no_change"} for k in range(2)}
        crossval(root, Stages((0.5, 0.7, 0.9), ends)).run(config, 2)
        assert len(result(root)["rounds"]) == reached + 1
        assert result(root)["chosen"] == load_config(root / "chain" / "config.yaml").rounds == reached


def test_no_round_at_all_is_a_cross_validation_too(tmp_path: Path) -> None:
    config = config_in(tmp_path, TWO.replace("rounds: 2", "rounds: 0"))
    crossval(tmp_path / "cv", Stages()).run(config, 2)
    assert [row["figure"] for row in result(tmp_path / "cv")["rounds"]] == pytest.approx([0.6])


def test_what_rounds_do_otherwise_goes_with_them(tmp_path: Path) -> None:
    text = TWO + "per_round: {0: {select: {tau: 0.6}}, 1: {select: {tau: 0.5}}}\n"
    root = tmp_path / "cv"
    crossval(root, Stages()).run(config_in(tmp_path, text), 2)
    assert list(load_config(root / "chain" / "config.yaml").per_round) == [0]
    assert list(load_config(root / "fold-1" / "config.yaml").per_round) == [0, 1]


def test_the_gates_keys_may_change_and_no_fold_is_run_again(tmp_path: Path, config: ChainConfig) -> None:
    root, launcher = tmp_path / "cv", Stages((0.80, 0.7834, 0.7667))
    crossval(root, launcher).run(config, 2)
    assert result(root)["chosen"] == 2
    before, again = len(launcher.launched), Stages((0.80, 0.7834, 0.7667))
    strict = config_in(tmp_path, TWO.replace("metric: accuracy", "metric: accuracy, worse_limit: 0.5"))
    error = refused(lambda: crossval(root, again).run(strict, 2))
    # the folds stand as they are; the last chain has other rounds now, and is never changed silently
    assert error.what.startswith("chain: ")
    assert error.code == ExitCode.MISMATCH
    assert result(root)["chosen"] == 0
    assert again.launched == []
    assert before == len(launcher.launched)


def test_an_ensemble_counts_as_many_trainings(tmp_path: Path) -> None:
    config = config_in(tmp_path, TWO + "teacher: {seeds: 3}\n")
    assert trainings(config) == 5


@pytest.mark.parametrize(
    ("more", "words", "todo"),
    [
        ("splits: {validation: 0.2}", "splits.validation: 0.2 takes labels away", "splits.validation: 0"),
        ("splits: {folds: 3, fold: 1}", "splits.folds: 3, splits.fold: 1", "--folds"),
        ("per_round: {1: {select: {rule: risk}}}", "select.rule: risk needs labelled validation", "another rule"),
    ],
)
def test_a_configuration_that_does_not_suit_is_refused_before_anything_is_made(
    tmp_path: Path, more: str, words: str, todo: str
) -> None:
    config = config_in(tmp_path, TWO + more)
    error = refused(lambda: crossval(tmp_path / "cv", Stages()).run(config, 3))
    assert error.code == ExitCode.MISMATCH
    assert words in error.what
    assert todo in error.todo
    assert not (tmp_path / "cv").exists()


def test_directories_of_other_things_are_refused_and_left_alone(tmp_path: Path, config: ChainConfig) -> None:
    other, run, file = tmp_path / "other", tmp_path / "run", tmp_path / "file"
    other.mkdir()
    (other / "2024").mkdir()
    file.write_text("mine")
    session(run).run(config)
    for root in (other, run, file):
        before = everything(root) if root.is_dir() else root.read_text()
        error = refused(lambda root=root: crossval(root, Stages()).run(config, 2))  # type: ignore[misc]
        assert error.code == ExitCode.MISMATCH
        assert "is not the directory of a cross-validation" in error.what
        assert (error.why == "it is a run directory" and f"resume {run}" in error.todo) == (root == run)
        assert (everything(root) if root.is_dir() else root.read_text()) == before
    (tmp_path / "empty").mkdir()
    crossval(tmp_path / "empty", Stages()).run(config, 2)


def test_another_number_of_folds_is_refused_by_name(tmp_path: Path, config: ChainConfig) -> None:
    crossval(tmp_path / "cv", Stages()).run(config, 3)
    before = everything(tmp_path / "cv")
    for folds in (2, 4):
        error = refused(lambda folds=folds: crossval(tmp_path / "cv", Stages()).run(config, folds))  # type: ignore[misc]
        assert "was begun with 3 folds" in error.what
        assert "--folds 3" in error.todo
    assert everything(tmp_path / "cv") == before


def test_other_settings_are_refused_by_the_run_they_are_not_of(tmp_path: Path, config: ChainConfig) -> None:
    crossval(tmp_path / "cv", Stages()).run(config, 2)
    changed = config_in(tmp_path, TWO.replace("tau: 0.8", "tau: 0.7"))
    error = refused(lambda: crossval(tmp_path / "cv", Stages()).run(changed, 2))
    assert error.what.startswith("fold-0: rounds/00/select was made by a different recipe (select.tau: 0.8 -> 0.7)")
    assert "rerun" not in error.todo  # of one fold, which would leave the others as they were
    assert "restore what has changed" in error.todo
    assert str(tmp_path / "cv") in error.todo


def test_a_refused_first_start_leaves_nothing(tmp_path: Path, config: ChainConfig) -> None:
    def refuse(job: Job) -> None:
        raise ChainError("too few groups", "so", "fewer folds", ExitCode.BAD_DATA)

    error = refused(lambda: crossval(tmp_path / "cv", Stages(before=refuse)).run(config, 2))
    assert error.what == "fold-0: too few groups"
    assert not (tmp_path / "cv").exists()


def test_without_hard_links_each_run_reads_the_patches_itself(
    tmp_path: Path, config: ChainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossval(tmp_path / "linked", Stages()).run(config, 2)
    stores = [tmp_path / "linked" / run / "data/store/result.json" for run in ("fold-0", "fold-1", "chain")]
    assert len({path.stat().st_ino for path in stores}) == 1

    def no_links(*of: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    launcher = Stages()
    crossval(tmp_path / "cv", launcher).run(config, 2)
    assert sum(one.endswith("data/store") for one in launcher.launched) == 3
    assert whole(tmp_path / "cv") == whole(tmp_path / "linked")

    def changes(job: Job) -> None:
        if job.address == "data/store" and run_of(job) == "fold-1":
            write_json(job.out / "result.json", {"other": "patches"})

    error = refused(lambda: crossval(tmp_path / "changed", Stages(before=changes)).run(config, 2))
    assert "fold-1 holds other patches than" in error.what
    assert error.code == ExitCode.MISMATCH


def test_half_linked_stores_are_linked_again(tmp_path: Path, config: ChainConfig) -> None:
    root = tmp_path / "cv"
    half = root / "fold-1" / ".staging" / "data-store.offered" / "out"
    half.mkdir(parents=True)
    (half / "result.json").write_text("half")
    launcher = Stages()
    crossval(root, launcher).run(config, 2)
    assert "fold-1/data/store" not in launcher.launched
    assert not half.exists()
