"""The exit code is that of the first signal, however early it comes, and however late a second one."""

import os
import signal
import time
from pathlib import Path

import pytest

import pipeline.config.reading
import run_chain
from data import fault
from data.errors import ExitCode
from tests.fake_stages import CONFIG

APART_S = (0.0, 0.002, 0.008, 0.02)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_take_the_exit_code_from_the_first(first: signal.Signals, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    expected = ExitCode.INTERRUPTED if first == signal.SIGINT else ExitCode.PREEMPTED
    found = []
    for number, apart_s in enumerate(APART_S):
        said = tmp_path / f"said-{number}"
        pid = os.fork()
        if not pid:
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
            fault.arm("stage.begin@1@hang")
            code = run_chain.main(["run", str(config), str(tmp_path / f"run-{number}"), "--quiet"])
            time.sleep(0.2)  # what an interpreter does when it ends takes as long
            os._exit(code)
        while not said.exists() or b"injected" not in said.read_bytes():
            time.sleep(0.005)
        os.kill(pid, first)
        while _pending(pid, first):  # of two signals on their way at once, the system may hand over the later one first
            time.sleep(0.0005)
        time.sleep(apart_s)
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)
        os.kill(pid, signal.SIGTERM)
        found.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        assert "Traceback" not in said.read_text()
    assert found == [expected] * len(APART_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_while_the_configuration_is_read_ends_with_its_code(number: signal.Signals, tmp_path: Path) -> None:
    """What requeues a job looks for 75; a process that the signal killed would not be started again."""
    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.signal(number, signal.SIG_DFL)
        pipeline.config.reading.load_config = lambda *_: os.kill(os.getpid(), number) or time.sleep(10)
        os._exit(run_chain.main(["run", str(tmp_path / "config.yaml"), str(tmp_path / "run")]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == ExitCode.PREEMPTED


def _pending(pid: int, number: signal.Signals) -> bool:
    fields = dict(line.split(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["ShdPnd"], 16) >> (number - 1) & 1)
