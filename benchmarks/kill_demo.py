"""Kill -9 at random moments, resume, compare every committed byte with an uninterrupted run.

    python -m benchmarks.kill_demo [--kills 20] [--seed 0] [--config configs/demo.yaml]
    python -m benchmarks.kill_demo --forked --config small.yaml

Prints each kill and where it struck; ends with 0 when all files are the same, else 1. With --forked what is killed is
a fork of this process, which has imported torch once: of a chain of seconds the kills would otherwise hit imports. The
uninterrupted run, and the start that ends a chain once all kills were made, are interpreters of their own even so.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.killing import committed, differing, killed_or_done

ROOT = Path(__file__).resolve().parent.parent


def start(words: list[str | Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, ROOT / "run_chain.py", *words, "--quiet"], start_new_session=True, stderr=subprocess.DEVNULL
    )


def killed(words: list[str | Path], after_s: float | None) -> bool:
    """Whether it was killed, with all of its group; else it has ended well."""
    process = start(words)
    try:
        code = process.wait(after_s)
        assert code == 0, f"exit {code}"
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def fork_killed(words: list[str | Path], after_s: float) -> bool:
    """As `killed`, of a fork."""
    from benchmarks.forking import forked  # not above: it would set one thread for the interpreters as well

    return killed_or_done(forked([*map(str, words), "--quiet"]), after_s, alone=False)[0]


def warm(words: list[str | Path], run: Path) -> float:
    """Do it, and import what it imported; the seconds that its stages took."""
    from benchmarks.forking import warm_up
    from pipeline.directory import ledger

    warm_up([[*map(str, words), "--quiet"]])
    return sum(ledger.seconds(run / "ledger.jsonl").values())


def where(run: Path) -> str:
    status = subprocess.run(
        [sys.executable, ROOT / "run_chain.py", "status", run], capture_output=True, text=True, check=False
    )
    lines = [" ".join(line.split()[1:]) for line in status.stdout.splitlines() if line.startswith("  unfinished")]
    return lines[0] if lines else "between two stages"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "demo.yaml")
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "kill_demo")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--forked", action="store_true", help="what is killed is a fork")
    args = parser.parse_args()
    sets = [word for one in args.overrides for word in ("--set", one)]
    rng = random.Random(args.seed)
    shutil.rmtree(args.into, ignore_errors=True)
    begun = time.monotonic()
    assert start(["run", args.config, args.into / "plain", *sets]).wait() == 0
    seconds = time.monotonic() - begun
    truth = committed(args.into / "plain")
    print(f"uninterrupted: {seconds:.0f} s, {len(truth)} committed files", flush=True)
    if args.forked:
        seconds = warm(["run", args.config, args.into / "warm", *sets], args.into / "warm")
    kills, chains, wrong = 0, 0, 0
    while kills < args.kills:
        run = args.into / f"killed-{chains}"
        chains += 1
        words: list[str | Path] = ["run", args.config, run, *sets]
        while True:
            wait = rng.uniform(0, 2 * seconds / 6) if kills < args.kills else None
            if not (fork_killed(words, wait) if args.forked and wait is not None else killed(words, wait)):
                break
            kills += 1
            print(f"kill {kills:3d} after {wait:5.1f} s: {where(run)}", flush=True)
            if (run / "config.yaml").is_file():
                words = ["resume", run]
        found = committed(run)
        changed = differing(truth, found)
        wrong += len(changed)
        print(f"chain {chains}: {len(found)} files, {len(changed)} differ {changed[:3]}", flush=True)
    print(json.dumps({"kills": kills, "chains": chains, "files": len(truth), "differing": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
