"""Kill -9 at random moments of `prepare`, go on, compare every committed byte with an uninterrupted one.

    python -m benchmarks.kill_prepare [--kills 50] [--seed 0] [--slides 6] [--workers 2]

Every other kill strikes the whole process group, as a power cut of the job would; the others the orchestrator alone,
whose workers must follow it. Prints each kill and where it struck; ends with 0 when all files are the same, else 1.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """
prepare:
  kind: slides
  path: slides
  mpp: 0.5
  size_px: 64
  grid: {overlap_px: 32}
"""


def committed(out: Path) -> dict[str, str]:
    """Every file of every unit, and what a chain reads. Tables and logs tell times, so not they."""
    files = [path for path in (out / "units").rglob("*") if path.is_file()]
    files += [path for path in (out / "prepared.json", out / "prepare.yaml") if path.is_file()]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def start(words: list[str | Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, ROOT / "run_chain.py", *words, "--quiet"], start_new_session=True, stderr=subprocess.PIPE
    )


def where(out: Path) -> str:
    done = len(list((out / "units").glob("*")))
    work = [path for path in (out / ".staging").glob("[!.]*") if path.is_dir()]
    files = sorted(path.name for unit in work for path in unit.iterdir())
    return f"{done} units done, {len(work)} in work ({', '.join(files) or 'nothing written'})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slides", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "kill_prepare")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for place in args.into.glob("killed-*"):
        shutil.rmtree(place)
    shutil.rmtree(args.into / "plain", ignore_errors=True)
    args.into.mkdir(parents=True, exist_ok=True)
    (args.into / "prepare.yaml").write_text(CONFIG.replace("path: slides", "path: example"))
    draw = ["example", "slides", args.into / "example", "--patients", str(args.slides), "--seed", str(args.seed)]
    subprocess.run([sys.executable, ROOT / "run_chain.py", *draw], check=True)
    words: list[str | Path] = ["prepare", args.into / "prepare.yaml"]
    tail: list[str | Path] = ["--workers", str(args.workers)]
    begun = time.monotonic()
    assert start([*words, args.into / "plain", *tail]).wait() == 0
    seconds = time.monotonic() - begun
    truth = committed(args.into / "plain")
    patches = sum(unit["patches"] for unit in json.loads((args.into / "plain" / "prepared.json").read_bytes())["units"])
    print(f"uninterrupted: {seconds:.1f} s, {patches:,} patches, {len(truth)} committed files", flush=True)
    kills, rounds, differing = 0, 0, 0
    while kills < args.kills:
        out = args.into / f"killed-{rounds}"
        rounds += 1
        while True:
            process = start([*words, out, *tail])
            try:
                code = process.wait(rng.uniform(0, seconds) if kills < args.kills else None)
                assert code == 0, f"exit {code}: {process.stderr.read().decode() if process.stderr else ''}"
                break
            except subprocess.TimeoutExpired:
                alone = kills % 2 == 1
                strike = os.kill if alone else os.killpg
                strike(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                whom = "orchestrator" if alone else "whole group"
                print(f"kill {kills:3d} of the {whom}: {where(out)}", flush=True)
        found = committed(out)
        changed = sorted(name for name in truth.keys() | found.keys() if truth.get(name) != found.get(name))
        differing += len(changed)
        print(f"directory {rounds}: {len(found)} files, {len(changed)} differ {changed[:3]}", flush=True)
        shutil.rmtree(out)
    print(json.dumps({"kills": kills, "directories": rounds, "files": len(truth), "differing": differing}))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
