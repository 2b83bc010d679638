"""The command line: exit codes, three lines, nothing written on refusal, and what people's programs rely on."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import run_chain
from data.errors import ExitCode
from pipeline.launchers.in_process import InProcess
from stages.job import Job
from tests.fake_stages import CONFIG, FakeLauncher, config_in, everything, session

ROOT = Path(__file__).parents[1]
REAL = """
rounds: 1
data:
  size_px: 24
  sources: [{kind: synthetic, patients: 8, patches_per_patient: 30, size_px: 24}]
splits: {validation: 0.2, test: 0.2, labels: {count: 4}}
teacher: {backbone: test_resnet, steps: 4, evaluate_every: 2, batch_size: 8}
select: {rule: top_k, k: 10}
student: {backbone: test_resnet, steps: 4, evaluate_every: 2, batch_size: 4}
promote: {tolerance: 1.0}
"""


def main(*words: object) -> int:
    return int(run_chain.main([str(word) for word in words]))


def three_lines(captured: str) -> list[str]:
    lines = captured.splitlines()
    assert len(lines) <= 3, captured
    assert lines[0].startswith("error: ")
    assert "Traceback" not in captured
    return lines


BROKEN = {
    "unknown key": (CONFIG + "studnet: {}", 78, "line 8: studnet"),
    "wrong type": (CONFIG + "student: {steps: many}", 78, "line 8: student.steps"),
    "out of range": (CONFIG + "student: {steps: 0}", 78, "line 8: student.steps"),
    "duplicate key": (CONFIG + "seed: 1", 78, "line 8: seed: duplicate key"),
    "YAML tag": (CONFIG + "student: !!python/object/apply:os.system [touch x]", 78, "line 8: YAML tag"),
    "tabs": (CONFIG + "student:\n\tsteps: 3", 78, "line 9: a tab"),
    "alias bomb": (CONFIG + "a: &a [1]\nb: [" + ",".join(["*a"] * 40) + "]", 78, "aliases"),
    "empty": ("", 78, "is empty"),
    "list at top": ("- seed: 0", 78, "line 1"),
    "not text": ("\x00", 78, "line 1"),
    "missing weights": (CONFIG.replace("{kind: synthetic}", "{kind: folder, path: nowhere}"), 66, "nowhere"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_three_lines_and_nothing_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, code, words = BROKEN[name]
    config = tmp_path / "broken.yaml"
    config.write_text(text)
    before = everything(tmp_path)
    verbs = [("run", config, tmp_path / "run", "--quiet")]
    if code == ExitCode.MISMATCH:  # a missing folder is found by what reads it
        verbs += [("check", config), ("plan", config), ("plan", config, tmp_path / "run")]
    for verb in verbs:
        assert main(*verb) == code
        assert words in three_lines(capsys.readouterr().err)[0]
        assert everything(tmp_path) == before


def test_over_the_quarantine_limit_only_the_table_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for label in "AB":
        folder = tmp_path / "patches" / label
        folder.mkdir(parents=True)
        for i in range(3):
            Image.effect_noise((24, 24), 40 + i).convert("RGB").save(folder / f"{i}.jpg")
    cut = tmp_path / "patches" / "A" / "0.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    config = tmp_path / "folder.yaml"
    config.write_text(CONFIG.replace("{kind: synthetic}", "{kind: folder, path: patches}"))
    assert main("run", config, tmp_path / "run", "--quiet") == ExitCode.BAD_DATA
    assert "0.jpg" in "".join(three_lines(capsys.readouterr().err))
    assert list(everything(tmp_path / "run")) == ["quarantine.csv"]
    assert "0.jpg" in (tmp_path / "run" / "quarantine.csv").read_text()
    cut.unlink()
    assert main("plan", config, tmp_path / "run") == 0


def test_missing_things_are_66(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verbs: list[tuple[object, ...]] = [("run", tmp_path / "no.yaml", tmp_path / "run"), ("check", tmp_path / "no.yaml")]
    verbs += [(verb, tmp_path / "run") for verb in ("resume", "status", "inspect", "verify")]
    verbs += [("rerun", tmp_path / "run", "--from", "final")]
    for verb in verbs:
        assert main(*verb) == ExitCode.MISSING
        three_lines(capsys.readouterr().err)
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "a"],
        ["rerun", "a"],
        ["run", "a", "b", "--workers", "-1"],
        ["run", "a", ""],
        ["run", "a", "b\udce9"],
        ["plan", "a", "--set", "b\udce9=1"],
        ["report", "a", "--out", ""],
    ],
)
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(*words)
    assert caught.value.code == ExitCode.USAGE


def test_names_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("status", tmp_path / "evil\x1b[2J\nname") == ExitCode.MISSING
    assert "\x1b" not in capsys.readouterr().err


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A finished run of fake stages, with a selection's figures."""
    session(tmp_path / "run").run(config_in(tmp_path))
    return tmp_path / "run"


HEAVY = {"torch", "pandas", "pyarrow", "numpy", "h5py", "timm", "albumentations", "cv2", "scipy", "pydantic", "rich"}
LOOK = f"""
import sys, run_chain
try:
    code = run_chain.main(sys.argv[1:])
except SystemExit as end:
    code = end.code or 0
heavy = {HEAVY} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize("verb", ["status", "inspect", "verify", "--version"])
def test_looking_imports_nothing_heavy_and_answers_at_once(verb: str, done: Path) -> None:
    words = [verb] if verb.startswith("-") else [verb, str(done)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-c", LOOK, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0, result.stderr
    assert result.stdout
    # its own time: that on the wall depends on what else the machine does
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    ("imports", "never"),
    [
        ("run_chain", {"torch", "cv2", "scipy", "data.slides", "data.volumes"}),
        ("pipeline.session, pipeline.check", {"torch"}),
    ],
)
def test_planning_and_configuring_import_no_torch_nor_what_looks_at_pixels(
    imports: str, never: set[str], tmp_path: Path
) -> None:
    config_in(tmp_path)
    code = f"import sys, run_chain, {imports}; run_chain.main(sys.argv[1:]); assert not {never} & set(sys.modules)"
    words = [sys.executable, "-c", code, "plan", str(tmp_path / "config.yaml")]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("schema") == 0
    assert "student" in json.loads(capsys.readouterr().out)["properties"]


def test_a_reader_that_closes_the_pipe_is_no_error(done: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(ROOT / "run_chain.py"), "status", str(done)]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_internal_error_is_three_lines_and_its_traceback_is_in_the_log(
    done: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.views import status

    def broken(layout: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(status, "status", broken)
    assert main("status", done) == ExitCode.INTERNAL
    assert str(done / "logs" / "error.log") in three_lines(capsys.readouterr().err)[2]
    assert "ZeroDivisionError" in (done / "logs" / "error.log").read_text()


def test_a_real_chain_runs_to_the_end_and_can_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, run = tmp_path / "real.yaml", tmp_path / "run"
    config.write_text(REAL)
    assert main("check", config) == 0
    assert all(line.startswith(("ok ", "warning ")) for line in capsys.readouterr().out.splitlines())
    assert main("run", config, run, "--device", "cpu") == 0
    captured = capsys.readouterr()
    assert str(run / "final") in captured.out
    assert "rounds/00/student" in captured.err
    before = {name: digest for name, digest in everything(run).items() if not name.startswith(("logs", "ledger"))}
    for verb in ("status", "inspect", "verify", "resume"):
        assert main(verb, run) == 0
    assert {name: d for name, d in everything(run).items() if not name.startswith(("logs", "ledger"))} == before
    capsys.readouterr()
    assert main("inspect", run, "--json", "--round", 0) == 0
    quality = json.loads(capsys.readouterr().out)["rounds"][0]["quality"]
    assert quality["total"]["kept"] > 0
    assert quality["total"]["audit"] is not None


@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [
        ("schema", ">&-", 0),
        ("--version", "<&- >&- 2>&-", 0),
        ("status nowhere", "2>&-", 66),  # its error is not to be read as the answer
        ("--version", "| true", 0),
    ],
)
def test_closed_streams_and_readers_that_leave_change_no_exit_code(words: str, closed: str, code: int) -> None:
    command = f"set -o pipefail; {sys.executable} run_chain.py {words} {closed}"
    result = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


def test_a_terminal_that_lacks_letters_is_shown_their_codes(done: Path) -> None:
    command = [sys.executable, str(ROOT / "run_chain.py"), "status", str(done.rename(done.with_name("Prüfung")))]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Pr\\xfcfung: finished" in result.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status", "x" * 300], ExitCode.MISSING),
        (["run", "config.yaml", "x" * 300], ExitCode.NOT_WRITABLE),
        (["example", "ct", "config.yaml/x"], ExitCode.NOT_WRITABLE),
        (["status", "config.yaml"], ExitCode.MISSING),
    ],
)
def test_a_path_that_can_hold_nothing_is_no_fault_of_the_program(
    words: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(*words) == code
    said = three_lines(capsys.readouterr().err)
    assert any(why in " ".join(said) for why in ("Not a directory", "too long", "it is a file"))


@pytest.mark.parametrize("struck", ["signal", "disk", "memory"])
def test_a_rerun_that_is_ended_says_what_goes_on_where_it_was(
    struck: str, done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def end(job: Job) -> None:
        if job.address != "rounds/00/student":
            return
        if struck == "signal":
            signal.raise_signal(signal.SIGTERM)
        elif struck == "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "weights")
        raise MemoryError

    launcher = FakeLauncher(before=end)
    monkeypatch.setattr(InProcess, "launch", lambda _, job, lock_fd: launcher.launch(job, lock_fd))
    assert main("rerun", done, "--from", "rounds/00/select") in (75, 74, 71)
    todo = capsys.readouterr().err.splitlines()[-1]
    assert f"go on with: python run_chain.py resume {done}" in todo
    assert "same command" not in todo, "it would set aside what was made again"
    launcher = FakeLauncher()
    assert main("resume", done, "--quiet") == 0
    assert launcher.launched == ["rounds/00/student", "final"]


def test_a_rerun_that_was_ended_before_it_set_anything_aside_is_to_be_run_again(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "config.yaml")

    monkeypatch.setattr("pipeline.session.write_bytes", full)
    assert main("rerun", done, "--from", "rounds/00/select", "--set", "select.tau=0.7") == ExitCode.IO
    assert "run the same command again" in capsys.readouterr().err
