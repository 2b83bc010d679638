"""Kill -9 at random moments: of a whole process group, or of the orchestrator alone; go on; compare every byte.

    python -m benchmarks.random_kills --kills 200                  # the whole group
    python -m benchmarks.random_kills --kills 200 --alone          # the orchestrator; its children must follow
    python -m benchmarks.random_kills --kills 20 --alone --devices 2

A chain of a second, as in benchmarks/fault_sweep.py, with a loader process that is there to be left behind; with
--devices 2 every training and labelling is a process group of two ranks, which takes most of a minute.
benchmarks/kill_demo.py does the same to the demo. Ends with 0 when all files are the same and nothing was left behind.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import run_chain
from benchmarks.fault_sweep import CONFIG, warm_up
from benchmarks.kill_demo import committed

LEFT_S = 30.0  # until no process of a killed start may be there any more


def forked(words: list[str]) -> int:
    """A start of the program, in a session of its own."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    code = 99
    try:
        code = run_chain.main(words)
    finally:
        os._exit(code)


def session_of(leader: int) -> set[int]:
    """The processes of that session that are alive, by the process table."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found.add(int(entry.name))
    return found


def killed_or_done(child: int, after_s: float | None, alone: bool) -> tuple[bool, float]:
    """Wait, kill; whether it was killed, and the seconds until the last of its processes was gone."""
    until = None if after_s is None else time.monotonic() + after_s
    while until is None or time.monotonic() < until:
        pid, status = os.waitpid(child, 0 if until is None else os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            assert code == 0, f"exit {code}"
            return False, 0.0
        time.sleep(0.002)
    if alone:
        os.kill(child, signal.SIGKILL)
    else:
        os.killpg(child, signal.SIGKILL)
    struck = time.monotonic()
    os.waitpid(child, 0)
    while session_of(child):
        assert time.monotonic() - struck < LEFT_S, f"left behind: {session_of(child)}"
        time.sleep(0.01)
    return True, time.monotonic() - struck


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--alone", action="store_true", help="the orchestrator, not its children")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, begun, memory = random.Random(args.seed), time.monotonic(), Path("/dev/shm")
    hardware = ["--threads", "1", "--device", "cpu", "--quiet"]
    hardware += ["--devices", str(args.devices)] if args.devices > 1 else ["--workers", "1"]
    kills, chains, differing, followed = 0, 0, 0, [0.0]
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        root = Path(folder)
        config = root / "tiny.yaml"
        config.write_text(f"rounds: 1\n{CONFIG}")
        warm_up([["run", str(config), str(root / "warm"), *hardware]])
        started = time.monotonic()
        assert not killed_or_done(forked(["run", str(config), str(root / "plain"), *hardware]), None, False)[0]
        plain_s, truth = time.monotonic() - started, committed(root / "plain")
        while kills < args.kills:
            run, more = root / "killed", True
            while more:
                words = ["resume", str(run)] if (run / "config.yaml").is_file() else ["run", str(config), str(run)]
                wait = rng.uniform(0, plain_s) if kills < args.kills else None
                more, seconds = killed_or_done(forked([*words, *hardware]), wait, args.alone)
                kills += more
                followed.append(seconds)
            found = committed(run)
            differing += sum(truth.get(name) != found.get(name) for name in truth.keys() | found.keys())
            chains += 1
            shutil.rmtree(run)
    summary = {
        "kills": kills,
        "of": "the orchestrator alone" if args.alone else "the whole group",
        "devices": args.devices,
        "chains": chains,
        "files": len(truth),
        "differing": differing,
        "longest until all are gone, s": round(max(followed), 2),
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(summary))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
