import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from pipeline.config.chain import ChainConfig
from pipeline.config.reading import load_config
from pipeline.directory import ledger
from pipeline.directory.layout import Layout
from pipeline.directory.record import Stop
from pipeline.directory.rundir import RunDir
from pipeline.plan import plan
from pipeline.session import Session
from stages.job import Job
from stages.process.signals import Ended, watched
from stages.registry import KINDS
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, everything, session

TWO = CONFIG.replace("rounds: 1", "rounds: 2")


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A finished run of two rounds."""
    root = tmp_path / "run"
    session(root).run(config_in(tmp_path, TWO))
    return root


def refused(do: object) -> ChainError:
    with pytest.raises(ChainError) as caught:
        do()  # type: ignore[operator]
    return caught.value


def test_the_same_command_again_runs_nothing_and_changes_nothing(done: Path, tmp_path: Path) -> None:
    before, launcher = committed(done), FakeLauncher()
    assert session(done, launcher).run(config_in(tmp_path, TWO)).reason == "max_rounds"
    assert session(done, launcher).resume().reason == "max_rounds"
    assert launcher.launched == []
    assert committed(done) == before


def test_two_runs_of_one_configuration_have_the_same_bytes(done: Path, tmp_path: Path) -> None:
    session(tmp_path / "elsewhere").run(config_in(tmp_path, TWO))
    assert committed(tmp_path / "elsewhere") == committed(done)


def test_moved_linked_and_touched_directories_raise_no_alarm(done: Path, tmp_path: Path) -> None:
    moved = tmp_path / "ein Ordner mit Ümlauten "
    done.rename(moved)
    link = tmp_path / "link"
    link.symlink_to(moved)
    for path in moved.rglob("*"):
        os.utime(path, (0, 0))
    launcher = FakeLauncher()
    session(link, launcher).resume()
    assert launcher.launched == []


@pytest.mark.parametrize(
    ("at", "final_from"),
    [("rounds/00/select", "rounds/00/teacher"), ("rounds/01/teacher", "rounds/01/teacher")],
)
def test_a_stop_ends_the_chain_with_the_teacher_of_its_round(tmp_path: Path, at: str, final_from: str) -> None:
    launcher, root = FakeLauncher({at: "no_gain"}), tmp_path / "run"
    config = config_in(tmp_path, TWO)
    assert session(root, launcher).run(config) == Stop("no_gain", "as told")
    assert launcher.launched[-2:] == [at, "final"]
    record = json.loads((root / "final" / "stage.json").read_text())
    teacher = json.loads((root / final_from / "stage.json").read_text())
    assert list(record["recipe"]["inputs"]) == ["teacher"]
    assert (
        json.loads((root / "final" / "result.json").read_text())["inputs"]["teacher"]
        == (teacher["files"]["result.json"]["sha256"])
    )
    again = FakeLauncher()
    assert session(root, again).run(config).reason == "no_gain"
    assert again.launched == []


def test_a_changed_recipe_is_refused_by_name_and_the_command_it_names_works(done: Path, tmp_path: Path) -> None:
    before = everything(done)
    changed = config_in(tmp_path, TWO, "select.tau=0.7")
    error = refused(lambda: session(done).run(changed))
    assert error.code == ExitCode.MISMATCH
    assert error.what == "rounds/00/select was made by a different recipe (select.tau: 0.8 -> 0.7)"
    command = f"rerun {done} --from rounds/00/select --set select.tau=0.7"
    assert command in error.todo
    assert everything(done) == before
    launcher = FakeLauncher()
    session(done, launcher).rerun("rounds/00/select", ["select.tau=0.7"])
    assert launcher.launched[0] == "rounds/00/select"
    assert launcher.launched[-1] == "final"
    session(tmp_path / "fresh").run(changed)
    assert committed(tmp_path / "fresh") == committed(done)
    session(done).run(changed)


def test_a_change_that_touches_nothing_done_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "run"

    def fail(job: Job) -> None:
        if job.kind == "select":
            raise ChainError("no", "no", "no", ExitCode.DIVERGED)

    refused(lambda: session(root, FakeLauncher(before=fail)).run(config_in(tmp_path, TWO)))
    with caplog.at_level("INFO"):
        session(root).run(config_in(tmp_path, TWO, "select.tau=0.7"))
    assert "configuration changed: select.tau: 0.8 -> 0.7" in caplog.text
    assert "unfinished work on rounds/00/select was made by a different recipe (select.tau: 0.8 -> 0.7)" in caplog.text
    session(tmp_path / "fresh").run(config_in(tmp_path, TWO, "select.tau=0.7"))
    assert committed(tmp_path / "fresh") == committed(root)


def test_a_configuration_that_cannot_be_read_any_more_is_written_anew_if_it_is_that_of_the_steps(
    done: Path, tmp_path: Path
) -> None:
    before, config = everything(done), config_in(tmp_path, TWO)
    for damage in ("seed: [", "rule: thrashold", ""):
        (done / "config.yaml").write_text(damage)
        with pytest.raises(ChainError) as caught:
            session(done).run(config_in(tmp_path / "other", TWO, "select.tau=0.7"))
        assert (caught.value.code, "select.tau: 0.8 -> 0.7" in caught.value.what) == (ExitCode.MISMATCH, True)
        assert (done / "config.yaml").read_text() == damage
        session(done).run(config)
        assert everything(done)["config.yaml"] == before["config.yaml"]


def test_a_path_may_change_without_alarm(tmp_path: Path) -> None:
    text = TWO.replace("{kind: synthetic}", "{kind: tree, path: here}")
    root = tmp_path / "run"
    session(root).run(config_in(tmp_path, text))
    launcher = FakeLauncher()
    session(root, launcher).run(config_in(tmp_path, text, "data.sources.0.path=/there"))
    assert launcher.launched == []
    assert "path: /there" in (root / "config.yaml").read_text()


def test_more_and_fewer_rounds_are_refused_with_a_command_that_works(done: Path, tmp_path: Path) -> None:
    longer = refused(lambda: session(done).run(config_in(tmp_path, TWO, "rounds=3")))
    assert "--from final --set rounds=3" in longer.todo
    shorter = refused(lambda: session(done).run(config_in(tmp_path, TWO, "rounds=1")))
    assert "--from rounds/01/teacher --set rounds=1" in shorter.todo
    session(done).rerun("final", ["rounds=3"])
    session(tmp_path / "three").run(config_in(tmp_path, TWO, "rounds=3"))
    assert committed(done) == committed(tmp_path / "three")
    session(done).rerun("rounds/01/teacher", ["rounds=1"])
    session(tmp_path / "one").run(config_in(tmp_path, TWO, "rounds=1"))
    assert committed(done) == committed(tmp_path / "one")


def test_a_rerun_that_would_change_an_earlier_step_names_it(done: Path) -> None:
    before = everything(done)
    error = refused(lambda: session(done).rerun("rounds/01/select", ["select.tau=0.7"]))
    assert error.code == ExitCode.MISMATCH
    assert "select.tau: 0.8 -> 0.7 changes rounds/00/select" in error.what
    assert "--from rounds/00/select --set select.tau=0.7" in error.todo
    assert refused(lambda: session(done).rerun("rounds/00/selct", [])).todo == "did you mean rounds/00/select?"
    assert everything(done) == before


def test_a_rerun_says_that_sources_changed_and_refuses_to_name_others_than_the_store_was_made_from(
    done: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def changed(layout: Layout, config: ChainConfig) -> None:
        asked.append(str(config.data.sources[0].name))
        raise ChainError("source main lists other patches", "why", "do", ExitCode.MISMATCH)

    monkeypatch.setattr("pipeline.session.refuse_changed", changed)
    before = everything(done)
    other = "data.sources.0.patients=7"
    monkeypatch.setattr("pipeline.session._refuse_earlier", lambda *_: None)  # as of a path, which is in no recipe
    assert refused(lambda: session(done).rerun("final", [other])).what == "source main lists other patches"
    assert everything(done) == before
    session(done).rerun("data/splits", [])
    said = [record.message for record in caplog.records if "lists other patches" in record.message]
    assert len(said) == 1
    assert "what it holds is kept" in said[0]
    assert "--from data/store" in said[0]
    assert len(asked) == 2
    assert sum("other patients validate" in record.message for record in caplog.records) == 1
    session(done).rerun("data/store", [])
    assert len(asked) == 2  # all is made anew: nothing is asked


def test_what_a_rerun_sets_aside_is_whole_and_is_never_removed(done: Path) -> None:
    before = (done / "rounds/01/student/stage.json").read_bytes()
    session(done).rerun("rounds/01/student", [])
    session(done).resume()
    session(done).rerun("final", [])
    aside = done / ".trash"
    assert sorted(path.name for path in aside.iterdir()) == ["final", "final-1", "rounds-01-student"]
    assert (aside / "rounds-01-student/stage.json").read_bytes() == before


def test_a_flipped_byte_in_any_committed_file_is_refused_before_anything_is_built(done: Path) -> None:
    shutil.rmtree(done / "final")  # something is left to do
    for name in committed(done):
        path = done / name
        if name == "config.yaml":
            continue
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        launcher = FakeLauncher()
        error = refused(lambda launcher=launcher: session(done, launcher).resume())
        address = "/".join(name.split("/")[: 3 if name.startswith("rounds") else 2])
        if path.name != "stage.json":  # a record may also turn into one of another recipe
            assert error.code == ExitCode.DAMAGED, name
            assert name in error.what
            assert f"rerun {done} --from {address}" in error.todo
        assert error.code in (ExitCode.DAMAGED, ExitCode.MISMATCH), name
        assert launcher.launched == [], name
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    session(done).resume()


def test_a_flip_in_any_byte_of_a_record_is_refused(done: Path) -> None:
    shutil.rmtree(done / "final")
    record = done / "rounds/01/student/stage.json"  # the last one: no later recipe holds its digest
    whole = record.read_bytes()
    rundir = RunDir(Layout(done), load_config(done / "config.yaml"))
    step = next(step for step in plan(rundir.config) if step.address == "rounds/01/student")
    assert rundir.is_done(step)
    for at in range(len(whole)):
        record.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        rundir = RunDir(Layout(done), rundir.config)
        with pytest.raises(ChainError):
            rundir.is_done(step)


def test_a_removed_file_and_a_removed_record_are_refused(done: Path) -> None:
    (done / "rounds/00/teacher/sub/weights.bin").unlink()
    assert "rounds/00/teacher/sub/weights.bin is missing" in refused(lambda: session(done).resume()).what
    session(done).rerun("rounds/00/teacher", [])
    (done / "rounds/00/teacher/stage.json").unlink()
    assert refused(lambda: session(done).resume()).code == ExitCode.DAMAGED


def test_a_newer_format_is_refused(done: Path) -> None:
    path = done / "data/splits/stage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    error = refused(lambda: session(done).resume())
    assert (error.code, error.todo) == (ExitCode.MISMATCH, "use the newer program")


def test_what_a_killed_start_left_half_written_is_removed_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "run"

    def fail(job: Job) -> None:
        if job.kind == "train":
            raise ChainError("no", "no", "no", ExitCode.IO)

    refused(lambda: session(root, FakeLauncher(before=fail)).run(config_in(tmp_path)))
    left = [root / ".config.yaml.part", root / ".staging" / "rounds-00-teacher" / "work" / ".step-000000002.ckpt.part"]
    for path in left:
        path.write_bytes(b"half")
    with caplog.at_level("INFO"):
        session(root).resume()
    assert "removed 2 unfinished files" in caplog.messages
    assert not any(path.exists() for path in left)


def test_a_damaged_orphan_is_set_aside_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, config = tmp_path / "run", config_in(tmp_path)
    session(root).run(config)
    truth = committed(root)
    staging = root / ".staging" / "final"
    staging.mkdir(parents=True)
    (root / "final").rename(staging / "out")
    (staging / "work").mkdir()
    recipe = json.loads((staging / "out" / "stage.json").read_text())["recipe"]
    (staging / "recipe.json").write_text(json.dumps(recipe))
    (staging / "out" / "result.json").write_text("torn")
    with caplog.at_level("INFO"):
        session(root).run(config)
    assert "finished work on final does not verify" in caplog.text
    assert committed(root) == truth


@pytest.mark.parametrize("code", [ExitCode.BAD_DATA, ExitCode.MISSING, ExitCode.MISMATCH])
@pytest.mark.parametrize("made_before", [False, True])
def test_a_refused_first_start_leaves_only_the_quarantine_table(
    tmp_path: Path, code: ExitCode, made_before: bool
) -> None:
    root = tmp_path / "run"
    if made_before:
        root.mkdir()

    def refuse(job: Job) -> None:
        if code == ExitCode.BAD_DATA:
            (job.out.parent / "quarantine.csv").write_text("source,key,reason\n")
        raise ChainError("no", "no", "no", code)

    refused(lambda: session(root, FakeLauncher(before=refuse)).run(config_in(tmp_path)))
    if code == ExitCode.BAD_DATA:
        assert list(everything(root)) == ["quarantine.csv"]
    else:
        assert root.exists() == made_before
        assert not made_before or everything(root) == {}
    session(root).run(config_in(tmp_path))


def test_a_refusal_after_the_first_step_leaves_the_run(tmp_path: Path) -> None:
    def refuse(job: Job) -> None:
        if job.kind == "split":
            raise ChainError("leak", "no", "no", ExitCode.BAD_DATA)

    root = tmp_path / "run"
    refused(lambda: session(root, FakeLauncher(before=refuse)).run(config_in(tmp_path)))
    assert (root / "data/store/stage.json").exists()
    session(root).resume()


def test_other_people_s_directories_are_not_written_to(tmp_path: Path) -> None:
    root = tmp_path / "home"
    root.mkdir()
    (root / "thesis.tex").write_text("all my work")
    assert refused(lambda: session(root).run(config_in(tmp_path))).code == ExitCode.MISMATCH
    assert refused(lambda: session(root).resume()).code == ExitCode.MISSING
    assert refused(lambda: session(tmp_path / "nowhere").resume()).code == ExitCode.MISSING
    assert list(everything(root)) == ["thesis.tex"]
    assert not (tmp_path / "nowhere").exists()


def test_a_signal_ends_the_run_even_where_a_library_swallows_it(tmp_path: Path) -> None:
    def swallow(job: Job) -> None:
        if job.kind == "train":
            with contextlib.suppress(Ended):  # as Lightning does with Ctrl-C
                signal.raise_signal(signal.SIGTERM)

    root, config = tmp_path / "run", config_in(tmp_path)
    base = session(root, FakeLauncher(before=swallow))
    with watched() as watch, pytest.raises(Ended) as caught:
        Session(base.layout, base.launcher, base.hardware, watch).run(config)
    assert caught.value.code == ExitCode.PREEMPTED
    assert caught.value.at == "rounds/00/teacher"
    assert not (root / "rounds/00/teacher").exists()
    assert (root / "chain.lock").read_bytes() == b""
    session(root).resume()
    session(tmp_path / "plain").run(config)
    assert committed(root) == committed(tmp_path / "plain")


def test_no_decision_reads_the_ledger(done: Path, tmp_path: Path) -> None:
    (done / "ledger.jsonl").write_text('{"event": "done", "address": "final"}\n{"torn')
    session(done).rerun("final", [])
    events = list(ledger.events(done / "ledger.jsonl"))
    assert [event["event"] for event in events] == ["done", "start", "begin", "done", "stop"]
    (done / "ledger.jsonl").unlink()
    (done / "ledger.jsonl").mkdir()  # cannot be written
    session(done).resume()


def test_a_path_that_cannot_be_a_run_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for root in (tmp_path / "file" / "run", tmp_path / "dangling", tmp_path / "file"):
        error = refused(lambda root=root: session(root).run(config_in(tmp_path / "c")))
        assert error.code in (ExitCode.NOT_WRITABLE, ExitCode.MISMATCH)
        assert str(root) in error.what


def test_another_version_of_a_stage_is_refused_with_both_ways_out(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, before = KINDS["select"].version, everything(done)
    monkeypatch.setitem(KINDS, "select", KINDS["select"]._replace(version=99))
    error = refused(lambda: session(done).resume())
    assert error.code == ExitCode.MISMATCH
    assert f"rounds/00/select was made by a different recipe (version: {old} -> 99)" in error.what
    assert "go on with the version of the program that made it" in error.todo
    assert f"rerun {done} --from rounds/00/select" in error.todo
    assert everything(done) == before
    session(done).rerun("rounds/00/select", [])
    session(done).resume()
