"""Kill -9 at random moments: of a whole process group, or of the orchestrator alone; go on; compare every byte.

    python -m benchmarks.random_kills --kills 200                  # the whole group
    python -m benchmarks.random_kills --kills 200 --alone          # the orchestrator; its children must follow
    python -m benchmarks.random_kills --kills 20 --alone --devices 2

The chain of tiny_chain.py, a second long, with a loader process that is there to be left behind; with
--devices 2 every training and labelling is a process group of two ranks, which takes most of a minute.
benchmarks/kill_demo.py does the same to the demo. Ends with 0 when all files are the same and nothing was left behind.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.forking import forked, warm_up
from benchmarks.killing import committed, differing, killed_or_done
from benchmarks.tiny_chain import CONFIG


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
    kills, chains, wrong, followed = 0, 0, 0, [0.0]
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
            wrong += len(differing(truth, committed(run)))
            chains += 1
            shutil.rmtree(run)
    summary = {
        "kills": kills,
        "of": "the orchestrator alone" if args.alone else "the whole group",
        "devices": args.devices,
        "chains": chains,
        "files": len(truth),
        "differing": wrong,
        "longest until all are gone, s": round(max(followed), 2),
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(summary))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
