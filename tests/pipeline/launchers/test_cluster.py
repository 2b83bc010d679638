"""Several machines: an allocation of SLURM, with an `srun` of ours on the PATH, and ranks that others start."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from pipeline.command_line import LAUNCHERS
from pipeline.launchers import door, external, orders
from pipeline.launchers.choose import NAMES, Name, launcher, resolved
from pipeline.launchers.external import External, place
from pipeline.launchers.group import Group
from pipeline.launchers.slurm import Slurm, first_host
from stages.job import Hardware, Job
from stages.process.heartbeat import EVERY_S
from stages.process.signals import watched

ROOT = Path(__file__).parents[3]
CONFIG = """
rounds: 0
data: {size_px: 16, sources: [{kind: synthetic, patients: 8, patches_per_patient: 8, size_px: 16}]}
splits: {validation: 0.2, test: 0.2, labels: {count: 2}}
teacher: {steps: 100000}
select: {rule: threshold}
"""
# what a cluster's programs would be: those of ours start fake ranks, and write down what was asked of them
FAKE = {
    "srun": f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    "from tests.fake_agent import main\n"
    "open('asked', 'a').write(' '.join(['srun', *sys.argv[1:]]) + '\\n')\n"
    "sys.exit(main(sys.argv[1:]))\n",
    "scontrol": "import sys; open('asked', 'a').write(' '.join(['scontrol', *sys.argv[1:]]) + '\\n')\n",
    "python": f"import os, sys; os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n",
}
# the program, with fake ranks
EXTERNAL = """
import sys, run_chain
from pipeline.launchers.group import Group
real = Group.command.fget
Group.command = property(lambda self: [w.replace("pipeline.launchers.rank", "tests.fake_rank") for w in real(self)])
sys.exit(run_chain.main(sys.argv[1:]))
"""


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """An environment inside an allocation; the configuration lies in `tmp_path`."""
    (tmp_path / "bin").mkdir()
    for name, text in FAKE.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    (tmp_path / "chain.yaml").write_text(CONFIG)
    (tmp_path / "run_chain.py").symlink_to(ROOT / "run_chain.py")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "gpu[03-04]", "SLURM_JOB_NUM_NODES": "2"}
    return {**os.environ, **slurm, "PATH": path, "PYTHONPATH": str(ROOT), "GPUS": "1"}


def in_work(folder: Path, pattern: str) -> list[Path]:
    """What the step that is being worked on has in its own place so far."""
    return [path for staging in (folder / "run" / ".staging").glob("*") for path in (staging / "work").glob(pattern)]


def eventually(done: Callable[[], bool], *running: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + 300
    while not done():
        assert time.monotonic() < until
        assert all(process.poll() is None for process in running)
        time.sleep(0.1)


def test_the_shipped_job_requeues_itself_when_it_is_pre_empted_and_goes_on(
    tmp_path: Path, cluster: dict[str, str], request: pytest.FixtureRequest
) -> None:
    words = ["bash", str(ROOT / "docs" / "examples" / "chain.sbatch"), "chain.yaml", "run"]
    first = subprocess.Popen(words, cwd=tmp_path, env=cluster, stderr=subprocess.PIPE, text=True)
    request.addfinalizer(first.kill)
    eventually(lambda: len(in_work(tmp_path, "saved-*")) == 2, first)
    first.send_signal(signal.SIGUSR1)  # as `--signal=B:USR1@...` does
    _, said = first.communicate(timeout=300)
    assert first.returncode == ExitCode.PREEMPTED, said
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1] == "scontrol requeue 7"
    assert asked[0].startswith("srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --input=none ")
    again = subprocess.run(words, cwd=tmp_path, env=cluster, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "run/final/model.json").read_text())["world"] == 2
    assert (tmp_path / "asked").read_text().count("scontrol") == 1


def test_ranks_that_others_start_follow_the_first_one_and_end_with_its_code(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "chain.yaml").write_text(CONFIG)
    words = [sys.executable, "-c", EXTERNAL, "run", "chain.yaml", "run", "--launcher", "external"]
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29400", "PYTHONPATH": str(ROOT)}

    def start() -> list[subprocess.Popen[bytes]]:
        places = [{**os.environ, **meet, "RANK": str(rank)} for rank in range(2)]
        both = [subprocess.Popen(words, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) for env in places]
        request.addfinalizer(lambda: [process.kill() for process in both])
        return both

    both = start()
    eventually(lambda: len(in_work(tmp_path, "saved-*")) == 2, *both)
    beat = in_work(tmp_path, "ranks/beat-1")[0]
    os.kill(int(beat.read_text().split()[0]), signal.SIGKILL)
    assert [process.wait(300) for process in both] == [ExitCode.INTERNAL] * 2
    assert [process.wait(300) for process in start()] == [ExitCode.DONE] * 2
    assert json.loads((tmp_path / "run/final/model.json").read_text())["world"] == 2


@pytest.mark.parametrize("late", [0, 1])
def test_what_rank_0_is_refused_before_there_are_orders_ends_the_others_within_seconds(
    late: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whichever comes first: the directory is another's, and nothing may be written there."""
    (tmp_path / "chain.yaml").write_text(CONFIG)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    words = [sys.executable, "run_chain.py", "run", "chain.yaml", "run", "--launcher", "external"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    (tmp_path / "run_chain.py").symlink_to(ROOT / "run_chain.py")
    ranks: dict[int, subprocess.Popen[bytes]] = {}
    for number in (1 - late, late):
        env = {**os.environ, **meet, "RANK": str(number)}
        ranks[number] = subprocess.Popen(words, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
        request.addfinalizer(ranks[number].kill)
        time.sleep(2)
    assert [ranks[number].wait(60) for number in (0, 1)] == [ExitCode.MISMATCH] * 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_follower_that_comes_when_the_first_stage_was_refused_is_told_so(
    first_rank: External, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with contextlib.suppress(ChainError), first_rank.ending():
        first_rank._meet()
        words = [sys.executable, "-c", FOLLOW, str(tmp_path)]
        late = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)})
        request.addfinalizer(late.kill)
        raise ChainError("no such source", "why", "what to do", ExitCode.MISSING)
    assert late.wait(60) == ExitCode.MISSING


def test_strangers_at_the_port_are_no_followers(
    first_rank: External, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    port = int(os.environ["MASTER_PORT"]) + door.BESIDE
    with contextlib.ExitStack() as strangers, contextlib.suppress(ChainError), first_rank.ending():
        for _ in range(3):
            strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
        words = [sys.executable, "-c", FOLLOW, str(tmp_path / "run")]
        follower = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)})
        request.addfinalizer(follower.kill)
        raise ChainError("no such source", "why", "what to do", ExitCode.MISSING)
    assert follower.wait(30) == ExitCode.MISSING


def test_a_signal_ends_the_waiting_for_followers_and_leaves_the_code_as_it_was(first_rank: External) -> None:
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    begun = time.monotonic()
    with watched(), pytest.raises(ChainError, match="no such source"), first_rank.ending():
        raise ChainError("no such source", "why", "what to do", ExitCode.MISSING)
    assert time.monotonic() - begun < door.ANSWER_S / 2


def test_the_folder_of_a_start_that_took_the_run_over_is_left_to_it(first_rank: External) -> None:
    order = first_rank.folder / orders.ORDER
    with contextlib.suppress(ChainError), first_rank.ending():
        first_rank._meet()
        (first_rank.folder / "follower-1").write_text("new")
        eventually(lambda: first_rank.order["members"] == {"1": "new"})
        order.write_text('{"number": 1, "command": [], "members": {"1": "theirs"}}')
        raise ChainError("taken over", "why", "what to do", ExitCode.IN_USE)
    assert "done" not in json.loads(order.read_bytes())


@pytest.fixture
def first_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> External:
    """That of two, in a run directory where an earlier start left an order and a follower."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    for name, value in ({"RANK": "0", "WORLD_SIZE": "2"} | meet).items():
        monkeypatch.setenv(name, value)
    (tmp_path / orders.FOLDER).mkdir()
    (tmp_path / orders.FOLDER / orders.ORDER).write_text('{"done": 0, "members": {"1": "old"}, "number": 3}')
    (tmp_path / orders.FOLDER / "follower-1").write_text("old")
    return External(tmp_path)


class Done:
    """Ranks that have done their stage as soon as they are started."""

    command: Sequence[str] = ()

    def __init__(self, job: Job, world: int) -> None:
        pass

    def run(self, start: object, lost: object) -> str:
        return "done"


def job_of_ranks() -> Job:
    here = Path()
    return Job("teacher", "train", 0, 0, {}, {}, here, here, here, Hardware(hang_timeout_s=60))


def test_a_follower_refuses_a_configuration_that_cannot_run_at_once(cluster: dict[str, str], tmp_path: Path) -> None:
    # rank 0 refuses it before there is a run directory in which it could say so: others would wait for ten minutes
    words = [sys.executable, "run_chain.py", "run", "chain.yaml", "run", "--launcher", "external"]
    place = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    (tmp_path / "chain.yaml").write_text(CONFIG.replace("rounds: 0", "rounds: many"))
    done = subprocess.run(words, cwd=tmp_path, env=cluster | place, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "rounds" in done.stderr) == (ExitCode.MISMATCH, True)
    assert not (tmp_path / "run").exists()


def test_an_order_outlives_a_follower_that_is_taken_in_at_the_same_time(
    first_rank: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path, value: object) -> None:
        if threading.current_thread().name == "heartbeat":
            time.sleep(2 * orders.LOOK_EVERY_S)  # what is said meanwhile is written later
        write_json(path, value)

    monkeypatch.setattr(external, "write_json", slow)
    monkeypatch.setattr(external, "Group", Done)
    with first_rank.ending():
        first_rank._meet()
        (first_rank.folder / "follower-1").write_text("new")
        first_rank.launch(job_of_ranks(), -1)
        time.sleep(4 * orders.LOOK_EVERY_S)
        order = json.loads((first_rank.folder / orders.ORDER).read_bytes())
    assert order["number"] == 1
    assert order["members"] == {"1": "new"}


def test_followers_of_an_earlier_start_are_forgotten_and_one_that_writes_meanwhile_is_no_hindrance(
    first_rank: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        real(path, missing_ok=missing_ok)
        if path.name == "follower-1":
            path.write_text("new")

    monkeypatch.setattr(Path, "unlink", unlink)
    with first_rank.ending():
        first_rank._meet()
        eventually(lambda: first_rank.order["members"] == {"1": "new"})


FOLLOW = """
import sys
from pathlib import Path
from data.errors import ChainError
from pipeline.launchers import following
following.ORPHANED_S = 3
try:
    following.follow(Path(sys.argv[1]), 1)
except ChainError as error:
    sys.exit(int(error.code))
"""


def test_a_chain_that_is_started_twice_keeps_its_followers_and_one_that_died_is_replaced(
    first_rank: External, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Rank 0 of the second start is refused by the lock; its followers must not take the places of those at work."""

    def follower() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", FOLLOW, str(tmp_path)]
        one = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
        request.addfinalizer(one.kill)
        return one

    with first_rank.ending():
        first_rank._meet()
        first = follower()
        eventually(lambda: first_rank.order["members"].keys() == {"1"}, first)
        seated = dict(first_rank.order["members"])
        second = follower()
        while second.poll() is None:
            assert first_rank.order["members"] == seated
            time.sleep(0.1)
        assert second.returncode == ExitCode.IN_USE
        first.kill()
        third = follower()
        eventually(lambda: first_rank.order["members"] not in ({}, seated), third)
    assert third.wait(60) == 0  # and is told of the end


def test_a_follower_that_died_between_two_steps_is_named_long_before_a_rank_would_have_hung(
    first_rank: External, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(external, "ORPHANED_S", 1.5)
    fake = ["-m", "tests.fake_rank"]
    monkeypatch.setattr(Group, "command", property(lambda self: [*fake, str(self.folder), "quiet", "60"]))
    folders = [tmp_path / name for name in ("out", "work", "log")]
    for folder in folders:
        folder.mkdir()
    job = Job("rounds/00/teacher", "train", 0, 0, {"steps": 100_000}, {}, *folders, Hardware(hang_timeout_s=600))
    first_rank._meet()
    (first_rank.folder / "follower-1").write_text("token 7")  # and never again
    with (tmp_path / "chain.lock").open("w") as lock, pytest.raises(ChainError) as caught, first_rank.ending():
        first_rank.launch(job, lock.fileno())
    assert caught.value.code == ExitCode.INTERNAL
    assert caught.value.what == "rounds/00/teacher: rank 1 died before this step began"


def test_a_follower_that_says_so_again_in_time_has_not_left(
    first_rank: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "ORPHANED_S", 2.0)
    seat = first_rank.folder / "follower-1"
    with first_rank.ending():
        first_rank._meet()
        for times in range(4):
            seat.write_text(f"token {times}")
            time.sleep(2 * EVERY_S)
            assert not first_rank._left(1)
        eventually(lambda: first_rank._left(1))


def test_a_moment_without_the_file_system_does_not_end_the_heartbeat(
    first_rank: External, monkeypatch: pytest.MonkeyPatch
) -> None:
    with first_rank.ending():
        first_rank._meet()
        with monkeypatch.context() as patch:
            patch.setattr(external, "write_json", lambda *_: Path("/none/such").stat())
            (first_rank.folder / "follower-1").write_text("new")
            time.sleep(2 * EVERY_S)
            assert first_rank.order["members"] == {}
        eventually(lambda: first_rank.order["members"] == {"1": "new"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu1", "gpu1"),
        ("gpu[03-05,7],cpu1", "gpu03"),
        ("a-b.example.org,c", "a-b.example.org"),
        ("rack[1,3]-x", "rack1-x"),
    ],
)
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert first_host({"SLURM_JOB_NODELIST": nodes}) == first


@pytest.mark.parametrize("nodes", ["", "a b", "x;touch y", "$(x)", "a\nb", "-x["])
def test_what_is_no_list_of_hosts_is_refused(nodes: str) -> None:
    with pytest.raises(ChainError) as caught:
        first_host({"SLURM_JOB_NODELIST": nodes})
    assert caught.value.code == ExitCode.USAGE


def test_flags_that_do_not_go_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    cases: list[tuple[Name, Hardware]] = [
        ("auto", Hardware(nodes=2)),
        ("slurm", Hardware()),
        ("in_process", Hardware(devices=2)),
        ("torchrun", Hardware(nodes=2)),
        ("external", Hardware()),
    ]
    for name, hardware in cases:
        with pytest.raises(ChainError) as caught, launcher(name, hardware, tmp_path):
            pass
        assert caught.value.code == ExitCode.USAGE, name
    fit = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "65535"}
    assert place(fit) == (1, 2)
    for unfit in ({"RANK": "2"}, {"MASTER_PORT": "0"}, {"MASTER_PORT": "65536"}, {"MASTER_PORT": "-1"}):
        with pytest.raises(ChainError):
            place(fit | unfit)
    with pytest.raises(ChainError):
        Slurm()


def test_one_of_several_ranks_is_used_as_such() -> None:
    assert resolved("auto", Hardware(), {"WORLD_SIZE": "2", "RANK": "1"}) == "external"
    assert resolved("auto", Hardware(devices=2), {}) == "torchrun"
    assert resolved("auto", Hardware(nodes=2), {"WORLD_SIZE": "1"}) == "slurm"
    assert resolved("auto", Hardware(), {}) == "in_process"
    assert resolved("in_process", Hardware(), {"WORLD_SIZE": "2"}) == "in_process"


def test_the_command_line_names_every_launcher() -> None:
    assert list(NAMES) == list(get_args(Name)) == LAUNCHERS
