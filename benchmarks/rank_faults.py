"""Two ranks of a real chain, struck at either of them in every way; go on; compare every committed byte.

    python -m benchmarks.rank_faults                    # every fault point, kind and rank; 40 signals
    python -m benchmarks.rank_faults --sample 8         # of these, so many
    python -m benchmarks.rank_faults --kinds SIGTERM,SIGUSR1,SIGHUP,SIGINT

The chain of tiny_chain.py, its trainings and labellings divided between two ranks that meet through gloo.
The ranks are forks of a process that has imported torch, where torchrun would start them anew and import it for
seconds; how they are handed their work, watched, told and ended is the program's own. A strike is a fault at one rank
alone (see `CHAIN_FAULT`), or a signal there. What a rank never comes to (the first one writes checkpoints) is passed
over and counted. Ends with 0 when every exit code was the documented one, nothing was left running, no stop took
longer than --hang-timeout + 30 s, and all files are the same, else 1.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import run_chain
from benchmarks.forking import warm_up
from benchmarks.killing import committed, differing, session_of
from benchmarks.tiny_chain import CONFIG
from data import fault
from pipeline.fault_points import fault_points
from pipeline.launchers import choose, rank
from pipeline.launchers.group import Group
from stages.job import Job

WORLD = 2
HANG_S = 6.0
EXITS = {"kill": 70, "torn": 70, "exc": 70, "hang": 124, "oom": 71, "enospc": 74, "eio": 74, "nan": 3, "term": 75,
         "SIGTERM": 75, "SIGUSR1": 75, "SIGHUP": 75, "SIGINT": 130}  # fmt: skip
SIGNALS = ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT")
IN_RANKS = ("train", "ckpt", "shard", "file", "scores")  # families of points that ranks come to
# what a sample begins with
FIRST = [("kill", 1), ("SIGTERM", 1), ("hang", 1), ("kill", 0), ("SIGINT", 1), ("oom", 1), ("SIGUSR1", 0), ("hang", 0)]
LONGEST_S = 300.0
HARDWARE = ["--device", "cpu", "--threads", "1", "--devices", str(WORLD), "--hang-timeout", str(HANG_S)]


@dataclass(frozen=True)
class Strike:
    """A fault, or a signal, at the nth passage of a point, at one rank."""

    point: str
    nth: int
    kind: str
    rank: int

    def arm(self) -> None:
        """In the process of that rank, and in no other."""
        if self.kind not in SIGNALS:
            fault.arm(f"{self.point}@{self.nth}@{self.kind}")
            return
        passed, plain = 0, fault.point

        def struck(name: str) -> None:
            nonlocal passed
            passed += name == self.point
            if name == self.point and passed == self.nth:
                os.write(2, b"injected: a signal\n")
                os.kill(os.getpid(), signal.Signals[self.kind])
            plain(name)

        fault.point = struck


class Forks:
    """Stands where the process stands that starts ranks, and ends all of them with the first that fails."""

    def __init__(self, command: list[str], strike: Strike | None) -> None:
        folder, shown, grace = command[-3:]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.living: set[int] = set()
        self.returncode: int | None = None
        self._worst = 0
        for number in range(WORLD):
            child = os.fork()
            if not child:
                with contextlib.suppress(BaseException):
                    place = {"RANK": number, "WORLD_SIZE": WORLD, "LOCAL_RANK": number, "MASTER_PORT": port}
                    os.environ |= {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in place.items()}}
                    fault.arm(None)
                    if strike is not None and strike.rank == number:
                        strike.arm()
                    rank.main(Path(folder), shown == rank.SHOWN, float(grace))
                os._exit(99)
            self.living.add(child)

    def poll(self) -> int | None:
        """The worst exit code once all ended."""
        for child in list(self.living):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                self.living.discard(child)
                self._worst = max(self._worst, abs(os.waitstatus_to_exitcode(status)))
                if self._worst:
                    self.send_signal(signal.SIGTERM)
        if not self.living:
            self.returncode = self._worst
        return self.returncode

    def wait(self, timeout: float) -> int:
        """As of a process."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("ranks", timeout)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        """To every rank that lives."""
        for child in self.living:
            os.kill(child, number)


@dataclass
class Forked:
    """See pipeline.launchers.base.Launcher; takes the place of torchrun. The strike is for one rank alone."""

    strike: Strike | None

    def launch(self, job: Job, lock_fd: int) -> str:
        """See Launcher. Ranks inherit the lock."""
        group = Group(job, WORLD)
        return group.run(lambda: Forks(group.command, self.strike))  # type: ignore[arg-type, return-value]


def begin(words: list[str], strike: Strike | None, said: Path) -> tuple[int, float]:
    """One start of the program in a process, and session, of its own; its exit code and the seconds it took."""
    child, begun = os.fork(), time.monotonic()
    if not child:
        code = 99
        with contextlib.suppress(BaseException):
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
            fault.arm(None)
            choose.Torchrun = lambda: Forked(strike)  # type: ignore[assignment, misc]
            code = run_chain.main([*words, *HARDWARE])
        os._exit(code)
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() - begun > LONGEST_S:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    took = time.monotonic() - begun
    assert not session_of(child), f"{strike}: left behind: {session_of(child)}"
    return os.waitstatus_to_exitcode(done[1]), took


def strikes(signals: int) -> Iterator[Strike]:
    """Every point and kind at each rank, at its first passage and at a later one; then so many signals."""
    for point in fault_points():
        if point.name.split(".")[0] in IN_RANKS:
            for kind in point.kinds:
                for number in range(WORLD):
                    yield Strike(point.name, 1 if kind in ("torn", "nan", "oom") else 2, kind, number)
    for number in range(signals):
        yield Strike("train.step", 1 + number // 8 % 5, SIGNALS[number % 4], number // 4 % 2)


class Sweep:
    """Chains that are struck again and again until they end, and are then compared."""

    def __init__(self, root: Path) -> None:
        self.root, self.config, self.said = root, root / "tiny.yaml", root / "said"
        longer = CONFIG.replace("steps: 3", "steps: 8")
        self.config.write_text(f"rounds: 1\n{longer}")
        warm_up([["run", str(self.config), str(root / "warm"), "--device", "cpu", "--threads", "1", "--quiet"]])
        code, self.plain_s = begin(["run", str(self.config), str(root / "plain")], None, self.said)
        assert code == 0, self.said.read_text()
        self.truth = committed(root / "plain")
        self.struck: list[Strike] = []
        self.passed_over: list[Strike] = []
        self.wrong: list[str] = []
        self.chains, self.longest_s = 0, {"dead": 0.0, "hung": 0.0}

    def go(self, hand: list[Strike], together: int) -> None:
        """All of them, so many in a chain as it comes to before it ends."""
        waiting = list(hand)
        while waiting:
            run, once, told = self.root / "run", len(waiting), len(self.wrong)
            shutil.rmtree(run, ignore_errors=True)
            for strike in waiting[:together]:
                if self._strike(run, strike):
                    waiting.remove(strike)
                else:
                    break  # the chain has ended: the next one begins with this strike
            code, _ = begin(self._words(run), None, self.said)
            found = committed(run)
            changed = differing(found, self.truth)
            if code or changed:
                self.wrong.append(f"then exit {code}, differing {changed[:3]}: {self.said.read_text()[-500:]}")
            self.chains += 1
            if len(waiting) == once:  # nothing of it in a whole chain
                self.passed_over.append(waiting.pop(0))
            print(f"{len(self.struck)} of {len(hand)}, {len(self.wrong)} wrong", file=sys.stderr, flush=True)
            print(*self.wrong[told:], sep="\n", end="", file=sys.stderr, flush=True)

    def _strike(self, run: Path, strike: Strike) -> bool:
        code, took = begin(self._words(run), strike, self.said)
        text = self.said.read_text()
        text += "".join(path.read_text(errors="replace") for path in run.glob(f"logs/**/rank-{strike.rank}.out"))
        if code == 0 or "injected: " not in text:
            if code:
                self.wrong.append(f"{strike}: not struck, and exit {code}: {text[-500:]}")
            return False
        self.struck.append(strike)
        kind = "hung" if strike.kind == "hang" else "dead"
        self.longest_s[kind] = max(self.longest_s[kind], took)
        if code != EXITS[strike.kind] or "Traceback" in self.said.read_text():
            self.wrong.append(f"{strike}: exit {code}: {self.said.read_text()[-500:]}")
        print(f"{strike}: exit {code} after {took:.1f} s", file=sys.stderr, flush=True)
        if took > self.plain_s + 30 + (HANG_S if kind == "hung" else 0):
            self.wrong.append(f"{strike}: ended after {took:.0f} s")
        return True

    def _words(self, run: Path) -> list[str]:
        again = (run / "config.yaml").is_file()
        return ["resume", str(run)] if again else ["run", str(self.config), str(run)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--signals", type=int, default=40)
    parser.add_argument("--sample", type=int, default=0, help="only so many, of every kind; 0: all")
    parser.add_argument("--kinds", default="", help="only these, with commas between")
    parser.add_argument("--together", type=int, default=4, help="strikes a chain, at most")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    memory, begun, rng = Path("/dev/shm"), time.monotonic(), random.Random(args.seed)
    hand = [one for one in strikes(args.signals) if not args.kinds or one.kind in args.kinds.split(",")]
    rng.shuffle(hand)
    if args.sample:
        first = {(strike.kind, strike.rank): strike for strike in hand if strike.point == "train.step"}
        hand = list(dict.fromkeys([*(first[each] for each in FIRST), *hand]))[: args.sample]
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        sweep = Sweep(Path(folder))
        sweep.go(hand, args.together)
    for line in sweep.wrong:
        print(line)
    summary = {
        "strikes": len(sweep.struck),
        "signals": sum(strike.kind in SIGNALS for strike in sweep.struck),
        "at rank 1": sum(strike.rank for strike in sweep.struck),
        "points": len({strike.point for strike in sweep.struck}),
        "kinds": len({strike.kind for strike in sweep.struck}),
        "never passed by that rank": len(sweep.passed_over),
        "chains": sweep.chains,
        "files": len(sweep.truth),
        "wrong": len(sweep.wrong),
        "uninterrupted, s": round(sweep.plain_s, 1),
        "longest start that ended early, s": {kind: round(took, 1) for kind, took in sweep.longest_s.items()},
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(summary))
    return 1 if sweep.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
