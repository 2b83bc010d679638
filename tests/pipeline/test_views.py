"""What people look at: status, inspect, plan, summary, verify. Nothing here writes."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from data.errors import ChainError, ExitCode
from pipeline.directory.layout import Layout
from pipeline.directory.record import Stop
from pipeline.verify import verify
from pipeline.views.inspection import LEGEND, findings, text, wilson
from pipeline.views.plan import plan_view
from pipeline.views.status import status
from pipeline.views.summary import summary
from stages.job import Job
from stages.measures.quality import kept_churn
from stages.select.figures import Kept
from tests.fake_stages import CONFIG, FakeLauncher, config_in, everything, session

FIGURES: dict[str, Any] = {
    "predicted": 10, "kept": 4, "coverage": 0.4, "confidence_mean": 0.9, "confidence_p10": 0.8, "share_kept": 0.5,
    "calibration_error": None, "share_labels": 0.25, "churn": None, "kept_churn": None, "top5_share": 1.0,
    "audit": {"precision": 0.75, "recall": 0.3, "n": 9},
}  # fmt: skip
QUALITY: dict[str, Any] = {
    "round": 0, "rule": "threshold", "classes": ["A", "B\x1b[31m"], "temperature": 1.5, "pool": 20, "unit": "slide",
    "calibration": {"n": 5, "nll_before": 1, "nll_after": 1, "ece_before": 0.2, "ece_after": 0.1},
    "total": FIGURES, "alarms": ["class A: 2 % of the kept patches, 20 % of the labels"],
    "per_class": [{"class": "A", **FIGURES}, {"class": "B\x1b[31m", **FIGURES, "audit": None}],
    "licences": [
        {"weights": "timm/net.in1k", "licence": "mine\x1b[31m"}, {"weights": "sha256:" + 64 * "0", "licence": None},
    ],
}  # fmt: skip
METRICS = {
    "validation": {"accuracy": 0.5, "balanced_accuracy": 0.45, "auroc": 0.8126},
    "test": None,
    "disagreement": {"n": 4, "total": 0.125, "per_class": {"A": 0.0625}},
}


def measured(job: Job) -> None:
    if job.kind == "select":
        (job.out / "quality.json").write_text(json.dumps(QUALITY | {"round": job.round}))
    if job.kind in ("train", "promote"):
        (job.out / "metrics.json").write_text(json.dumps(METRICS))
    if job.kind == "promote":
        (job.out / "promotion.json").write_text(json.dumps({"winner": "student", "reason": "better"}))


@pytest.fixture
def done(tmp_path: Path) -> Layout:
    """A finished run of one round with figures."""
    session(tmp_path / "run", FakeLauncher(before=measured)).run(config_in(tmp_path))
    return Layout(tmp_path / "run")


@pytest.fixture
def half(tmp_path: Path) -> Layout:
    """A run whose student was refused half-way."""

    def fail(job: Job) -> None:
        measured(job)
        if job.address == "rounds/00/student":
            (job.work / "progress.json").write_text(json.dumps({"done": 1200, "total": 3000, "unit": "steps"}))
            raise ChainError("loss became NaN", "no", "no", ExitCode.DIVERGED)

    with pytest.raises(ChainError):
        session(tmp_path / "run", FakeLauncher(before=fail)).run(config_in(tmp_path))
    return Layout(tmp_path / "run")


def test_status_tells_done_unfinished_and_to_do(half: Layout) -> None:
    lines = "\n".join(status(half))
    assert "not running" in lines
    assert "done       rounds/00/select" in lines
    assert "unfinished rounds/00/student   1,200/3,000 steps" in lines
    assert "to do      final" in lines


def test_status_of_a_run_in_use_names_the_holder(half: Layout) -> None:
    from pipeline.directory.lock import held

    with held(half.lock, "run"):
        lines = status(half)
    assert "in use by pid" in lines[0]
    assert any(line.strip().startswith("running") for line in lines)


def test_status_names_why_the_chain_ended(done: Layout, tmp_path: Path) -> None:
    assert status(done)[-1] == "stopped: max_rounds (1 of 1 rounds were run)"
    root = tmp_path / "stopped"
    session(root, FakeLauncher({"rounds/00/select": "nothing_selected"})).run(config_in(tmp_path))
    lines = status(Layout(root))
    assert lines[-1] == "stopped: nothing_selected (as told)"
    assert not any("student" in line for line in lines)


def test_a_changed_label_is_two_pairs_in_kept_churn_as_the_legend_says() -> None:
    before, after = (Kept(np.arange(2), np.array(label), np.ones(2)).keys(2) for label in ([0, 0], [0, 1]))
    assert kept_churn(before, after) == pytest.approx(2 / 3)  # one of two patches changed its label: 3 pairs, 1 in both
    assert "of the pairs of patch and label kept in this round or the one before, those not in both" in " ".join(LEGEND)


def test_status_shows_a_step_that_will_be_refused(done: Layout) -> None:
    (done.place("rounds/00/teacher") / "stage.json").write_text("{}")
    assert any(line.strip().startswith("refused    rounds/00/teacher") for line in status(done))


@pytest.mark.parametrize("look", [status, findings, lambda layout: list(verify(layout))])
def test_what_is_no_run_is_said_to_be_none(look: Any, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ChainError, match="not a run directory") as caught:
            look(Layout(root))
        assert caught.value.code == ExitCode.MISSING


@pytest.mark.parametrize(
    "look",
    [
        status,
        findings,
        lambda layout: list(verify(layout)),
        lambda layout: session(layout.root).resume(),
        lambda layout: session(layout.root).rerun("rounds/00/select", []),
        lambda layout: session(layout.root).run(config_in(layout.root.parent / "any")),
        lambda layout: plan_view(config_in(layout.root.parent / "any"), layout),
    ],
)
def test_what_another_verb_filled_is_said_to_be_that(look: Any, done: Layout, tmp_path: Path) -> None:
    cross, prepared = tmp_path / "cross", tmp_path / "prepared"
    for name in ("fold-0", "fold-1", "chain"):
        shutil.copytree(done.root, cross / name)
    prepared.mkdir()
    (prepared / "prepare.yaml").write_text("")
    with pytest.raises(ChainError, match="not a run directory") as caught:
        look(Layout(cross))
    assert "cross-validation" in caught.value.why
    assert all(str(cross / name) in caught.value.todo for name in ("fold-0", "fold-1", "chain"))
    with pytest.raises(ChainError, match="not a run directory") as caught:
        look(Layout(prepared))
    assert "prepared directory" in caught.value.why
    assert "prepare CONFIG" in caught.value.todo
    assert "chain.lock" not in {path.name for path in (*cross.iterdir(), *prepared.iterdir())}


def test_plan_says_what_run_would_say_of_a_directory_of_other_things(tmp_path: Path) -> None:
    config, root = config_in(tmp_path), tmp_path / "mine"
    root.mkdir()
    assert any("would run" in line for line in plan_view(config, Layout(root)))
    (root / "thesis.txt").touch()
    said = []
    for verb in (lambda: plan_view(config, Layout(root)), lambda: session(root).run(config)):
        with pytest.raises(ChainError, match="not a run directory") as caught:
            verb()
        said.append(caught.value.lines())
    assert said[0] == said[1]


def test_inspect_shows_every_figure_by_class_and_marks_the_audit(done: Layout) -> None:
    lines = text(findings(done))
    head = next(line for line in lines if line.strip().startswith("class"))
    row = next(line for line in lines if line.strip().startswith("A "))
    for figure in ("10", "4", "40.0 %", "90.0 %", "80.0 %", "50.0 %", "25.0 %", "100.0 %", "6.2 %", "75.0 %", "30.0 %"):
        assert figure in row.replace("  ", " ")
    assert head.count("(audit)") == 2
    assert any("temperature 1.50 (calibration error 20.0 % -> 10.0 %)" in line for line in lines)
    assert any("alarm: class A: 2 %" in line for line in lines)
    said = next(line for line in lines if line.startswith("licences of the weights these labels come from: mine"))
    assert said.endswith(" (timm/net.in1k), not stated (sha256:000000000000)")
    assert "  student: validation balanced accuracy 45.0 %, AUROC 0.813" in lines
    assert any("next teacher: the student (better)" in line for line in lines)
    assert "\x1b" not in "\n".join(lines)


def test_inspect_says_how_often_labels_tell_each_other_right_where_none_validate(done: Layout) -> None:
    assert "told by the others" not in "\n".join(text(findings(done)))
    each = [{"told": 34.2, "precision": 0.96}, {"told": 0.0, "precision": None}]
    told = {"told": {"labels": 34, "accuracy": 0.84, "per_class": each}}  # of a run before `cases` were written
    quality = QUALITY | told | {"temperatures": [0.75, 2.25]}
    (done.place("rounds/00/select") / "quality.json").write_text(json.dumps(quality))
    said = next(line for line in text(findings(done)) if "told by the others" in line)
    right = "84.0 % right (95 % interval 68.4 to 92.7)"
    assert said.startswith(f"  34 labels left out in turn and told by the others: {right}; told as A 96.0 % of 34, B")
    assert said.endswith(" - of 0; so confidence is read at temperature 0.75 to 2.25 by class")
    assert "\x1b" not in said
    assert any("temperature 0.75 to 2.25 by class (calibration error" in line for line in text(findings(done)))
    some = {"told": told["told"] | {"validation": 1025, "cases": 900}}
    (done.place("rounds/00/select") / "quality.json").write_text(json.dumps(QUALITY | some))
    right = "84.0 % right (95 % interval 81.5 to 86.2)"  # as 900 labels know it, not 34
    assert any(f"told by the others, and 1,025 of validation: {right}" in line for line in text(findings(done)))
    (done.place("rounds/00/select") / "quality.json").write_text(json.dumps(QUALITY | told))  # the same for all classes
    assert any(line.endswith("so confidence is read at temperature 1.50") for line in text(findings(done)))


@pytest.mark.parametrize(("right", "labels"), [(0, 3), (20, 34), (40, 40), (371, 406)])
def test_how_far_labels_know_a_share_is_the_interval_of_wilson(right: int, labels: int) -> None:
    expected = binomtest(right, labels).proportion_ci(method="wilson")
    assert wilson(right / labels, labels) == pytest.approx([expected.low, expected.high], abs=2e-6)


def test_inspect_says_how_much_the_encoder_counts_beside_the_teacher(done: Layout) -> None:
    for encoder, told in (({"kappa": 0.15, "weight": 0.25}, True), (None, False)):
        (done.place("rounds/00/select") / "quality.json").write_text(json.dumps(QUALITY | {"encoder": encoder}))
        said = [line for line in text(findings(done)) if "frozen encoder" in line]
        assert bool(said) == told
        assert not told or ("counts 0.25 times" in said[0] and said[0].endswith("a kappa of 0.15"))


def test_inspect_shows_thresholds_alignment_and_negative_labels_where_a_rule_has_them(done: Layout) -> None:
    plain = "\n".join(text(findings(done)))
    assert "threshold  " not in plain
    assert "aligned" not in plain
    quality = QUALITY | {
        "per_class": [{"class": "A", "threshold": 0.87, **FIGURES}, {"class": "B", "threshold": None, **FIGURES}],
        "alignment": {"target": "labelled", "exponent": 0.75, "weights": [1.0, 0.25]},
        "negatives": {"labels": 1200, "patches": 400, "audit": {"precision": 0.99, "n": 300}},
    }
    (done.place("rounds/00/select") / "quality.json").write_text(json.dumps(quality))
    told = "\n".join(text(findings(done)))
    assert "87.0 %" in told
    assert "aligned to the shares of the labels, exponent 0.75; weights of the classes: 1.00 0.25" in told
    assert "1,200 negative labels on 400 patches, right 99.0 % (audit)" in told


def test_inspect_as_json_is_one_document_of_the_same_figures(done: Layout) -> None:
    found = json.loads(json.dumps(findings(done, 0), allow_nan=False))
    assert found["rounds"][0]["quality"] == QUALITY
    assert found["rounds"][0]["disagreement"]["total"] == 0.125
    assert found["stop"]["reason"] == "max_rounds"


def test_inspect_of_a_chain_without_rounds_says_how_good_its_model_is_and_that_it_has_ended() -> None:
    figures = {"test": {"balanced_accuracy": 0.75, "auroc": 0.9}, "validation": None}
    found: dict[str, Any] = {"run": "r", "rounds": [], "reviews": [], "final": None, "stop": None}
    assert text(found) == ["r: no round has a selection yet"]
    ended = found | {"final": figures, "stop": {"reason": "max_rounds", "detail": "0 of 0 rounds were run"}}
    assert text(ended) == [
        "r: no round has a selection",
        "  final: test balanced accuracy 75.0 %, AUROC 0.900",
        "stopped: max_rounds (0 of 0 rounds were run)",
    ]


def test_inspect_of_a_round_that_was_not_run_is_refused(half: Layout) -> None:
    assert findings(half, 0)["rounds"][0]["disagreement"] is None
    with pytest.raises(ChainError, match="there is no round 1"):
        findings(half, 1)


def test_inspect_of_a_round_after_the_end_says_why_the_chain_ended(tmp_path: Path) -> None:
    launcher = FakeLauncher({"rounds/01/teacher": "no_gain"}, before=measured)
    session(tmp_path / "run", launcher).run(config_in(tmp_path, CONFIG, "rounds=3"))
    assert findings(Layout(tmp_path / "run"), 0)["rounds"]
    with pytest.raises(ChainError, match=r"round 1 has no selection$") as refused:
        findings(Layout(tmp_path / "run"), 1)
    assert refused.value.why == "the chain ended before it: no_gain (as told)"


def test_the_summary_has_a_row_a_round_and_says_where_things_lie(done: Layout) -> None:
    lines = summary(done, 1, Stop("max_rounds", "all"))
    assert lines[2].split() == ["00", "45.0", "%", "-", "45.0", "%", "-", "4", "75.0", "%"]
    assert any(str(done.root / "final") in line for line in lines)
    assert "ended: max_rounds (all)" in lines


def test_commands_that_are_told_can_be_typed_whatever_the_path(done: Layout, tmp_path: Path) -> None:
    run = Layout(tmp_path / "my run; of $HOME")
    shutil.copytree(done.root, run.root)
    told = [line.partition("class: ")[2].removesuffix(")") for line in summary(run, 1, Stop("max_rounds", "all"))]
    assert [shlex.split(line)[-2:] for line in told if line] == [["inspect", str(run.root)]]
    assert shlex.split(run.rerun("final", "select.tau=0.5"))[-5:] == [
        str(run.root), "--from", "final", "--set", "select.tau=0.5",
    ]  # fmt: skip
    run.config.unlink()
    with pytest.raises(ChainError) as caught:
        status(run)
    assert shlex.split(caught.value.todo)[-3:] == ["run", "CONFIG", str(run.root)]


@pytest.mark.parametrize(("metric", "shown"), [("balanced_accuracy", "45.0"), ("accuracy", "50.0")])
def test_the_summary_judges_by_the_metric_of_the_gate_and_names_it(tmp_path: Path, metric: str, shown: str) -> None:
    root = tmp_path / "run"
    session(root, FakeLauncher(before=measured)).run(config_in(tmp_path, CONFIG, f"promote.metric={metric}"))
    lines = summary(Layout(root), 1, Stop("max_rounds", "all"))
    assert lines[0].startswith(f"{metric.replace('_', ' ')} of each model")
    assert [line.split()[1] for line in lines[2:4]] == [shown, shown]


def test_plan_tells_what_would_run_what_is_done_and_what_is_refused(half: Layout, tmp_path: Path) -> None:
    def states(layout: Layout | None, *overrides: str) -> dict[str, str]:
        lines = plan_view(config_in(tmp_path, CONFIG, *overrides), layout)
        return {line.split()[0]: line for line in lines[1:]}

    assert all("would run" in line for address, line in states(None).items())
    assert "may stop before" in states(None)["rounds/00/student"]
    before = everything(half.root)
    now = states(half)
    assert "done" in now["rounds/00/select"]
    assert "would run" in now["rounds/00/student"]
    assert "refused" in states(half, "select.tau=0.7")["rounds/00/select"]
    assert everything(half.root) == before
    assert all("would run" in line for line in states(Layout(tmp_path / "new")).values())
    assert not (tmp_path / "new").exists()
    said = "whether the sources changed since data/store was made is not looked at here"
    assert plan_view(config_in(tmp_path), half)[-1].startswith(said)
    assert not any(said in line for line in plan_view(config_in(tmp_path), Layout(tmp_path / "new")))


def test_plan_guesses_the_time_of_a_step_from_its_like(half: Layout, tmp_path: Path) -> None:
    took = {"data/store": 5, "data/splits": 5, "rounds/00/teacher": 600, "rounds/00/predict": 60, "rounds/00/select": 5}
    half.ledger.write_text(
        "".join(json.dumps({"event": "done", "address": at, "seconds": s}) + "\n" for at, s in took.items())
    )
    lines = plan_view(config_in(tmp_path, CONFIG, "rounds=2"), half)
    guessed = dict(re.findall(r"^ *(rounds\S+).* about (\d+ \w+)", "\n".join(lines), flags=re.M))
    assert guessed == {
        "rounds/00/student": "10 min",  # as the first teacher, the only training there was
        "rounds/01/predict": "60 s",
        "rounds/01/select": "5 s",
        "rounds/01/student": "10 min",
    }, "the next teacher is a promotion, and takes no time of a training"
    assert "about 21 min to go, and what is not known yet" in lines


def test_verify_reads_every_byte_and_names_the_first_step_to_make_again(done: Layout) -> None:
    assert len(list(verify(done))) == 7
    for name in ("rounds/00/student/sub/weights.bin", "rounds/00/predict/result.json"):
        path = done.root / name
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    lines: list[str] = []
    with pytest.raises(ChainError) as caught:
        lines.extend(verify(done))
    assert caught.value.code == ExitCode.DAMAGED
    assert caught.value.what.startswith("rounds/00/predict/result.json")
    assert caught.value.what.endswith("(and 1 more)")
    assert "--from rounds/00/predict" in caught.value.todo
    assert len(lines) == 5


def test_verify_finds_one_flipped_bit_in_any_committed_file_and_names_the_step(done: Layout) -> None:
    files = [
        path
        for path in done.root.rglob("*")
        if path.is_file() and "stage.json" in {p.name for p in path.parent.iterdir()}
    ]
    files += [done.root / name for name in ("rounds/00/teacher/sub/weights.bin", "config.yaml")]
    assert len(files) > 10
    for path in files:
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 12)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            with pytest.raises(ChainError) as caught:
                list(verify(done))
            address = path.relative_to(done.root).as_posix().replace("/sub", "").rpartition("/")[0] or "config.yaml"
            assert address in caught.value.what, (path, at)
            assert (
                not address.startswith("rounds")
                or f"--from {address}" in caught.value.todo
                or "newer" in caught.value.todo
            )
        path.write_bytes(whole)
    list(verify(done))


def test_a_record_of_the_first_format_is_read(done: Layout) -> None:
    path = done.place("rounds/00/select") / "stage.json"
    plain = json.loads(path.read_text())
    del plain["record"]
    path.write_text(json.dumps(plain | {"format": 1}))
    list(verify(done))


def test_verify_finds_a_step_that_was_made_from_another(done: Layout, tmp_path: Path) -> None:
    session(tmp_path / "other").run(config_in(tmp_path, CONFIG, "teacher.steps=3"))
    shutil.rmtree(done.place("rounds/00/teacher"))
    shutil.copytree(tmp_path / "other/rounds/00/teacher", done.place("rounds/00/teacher"))
    with pytest.raises(ChainError, match="made from another rounds/00/teacher"):
        list(verify(done))


@pytest.mark.parametrize("gone", ["data/store", "rounds/00/teacher", "rounds/00/predict", "rounds/00/student"])
def test_a_step_that_is_gone_is_no_finished_run(done: Layout, gone: str) -> None:
    shutil.rmtree(done.place(gone))
    with pytest.raises(ChainError, match=f"{gone} is missing") as caught:
        list(verify(done))
    assert caught.value.code == ExitCode.DAMAGED
    assert f"--from {gone}" in caught.value.todo
    assert "no longer whole" in status(done)[0]


def test_a_file_that_is_gone_is_seen_by_status(done: Layout) -> None:
    (done.place("final") / "result.json").unlink()
    assert any(line.strip().startswith("damaged    final") for line in status(done))
    assert "no longer whole" in status(done)[0]


def test_a_last_student_that_is_not_promoted_is_the_stop_reason_everywhere(tmp_path: Path) -> None:
    root = tmp_path / "run"
    stop = session(root, FakeLauncher({"final": "no_gain"})).run(config_in(tmp_path))
    assert stop.reason == "no_gain"
    assert status(Layout(root))[-1] == "stopped: no_gain (as told)"
    assert findings(Layout(root))["stop"]["reason"] == "no_gain"


@pytest.mark.parametrize("content", [b'{"rea', b"[]", b"{}", b""])
def test_a_stop_that_cannot_be_read_is_shown_refused_and_mended(tmp_path: Path, content: bytes) -> None:
    layout = Layout(tmp_path / "run")
    stopped = FakeLauncher({"rounds/00/select": "no_change"})
    session(layout.root, stopped).run(config_in(tmp_path))
    (layout.place("rounds/00/select") / "stop.json").write_bytes(content)
    assert status(layout)[-1] == "stopped: unknown (stop.json is damaged; see `verify`)"
    assert findings(layout)["stop"]["reason"] == "unknown"
    for look in (lambda: list(verify(layout)), session(layout.root).resume):
        with pytest.raises(ChainError, match=r"rounds/00/select/stop\.json") as caught:
            look()
        assert caught.value.code == ExitCode.DAMAGED
        assert layout.rerun("rounds/00/select") in caught.value.todo
    assert session(layout.root, stopped).rerun("rounds/00/select", []).reason == "no_change"


@pytest.mark.parametrize("content", [b'{"validation": {"accu', b"null"])
def test_a_small_file_that_cannot_be_read_is_named(done: Layout, content: bytes) -> None:
    path = done.place("final") / "metrics.json"
    path.write_bytes(content)
    for look in (lambda: findings(done), lambda: summary(done, 1, Stop("max_rounds", ""))):
        with pytest.raises(ChainError, match=str(path)) as caught:
            look()
        assert caught.value.code == ExitCode.DAMAGED


def test_a_lost_configuration_is_named_and_the_same_one_takes_the_run_up_again(done: Layout, tmp_path: Path) -> None:
    done.config.unlink()
    with pytest.raises(ChainError, match=r"config.yaml is missing") as caught:
        status(done)
    assert "run CONFIG" in caught.value.todo
    launcher = FakeLauncher()
    session(done.root, launcher).run(config_in(tmp_path / "again"))
    assert launcher.launched == []
    assert done.config.is_file()
