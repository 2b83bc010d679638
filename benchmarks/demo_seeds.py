"""Does the chain earn its rounds? The demo at seeds 0, 1, 2: first teacher against last teacher on test.

    python -m benchmarks.demo_seeds [--seeds 0 1 2] [--into runs/demo_seeds]

A seed draws the patches, the splits, the labels and the networks anew. Interrupted, it goes on where it was.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def accuracy(model: Path) -> float:
    return float(json.loads((model / "metrics.json").read_text())["test"]["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "demo_seeds")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "demo.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    gains = []
    for seed in args.seeds:
        run = args.into / f"seed-{seed}"
        sets = [f"seed={seed}", f"splits.seed={seed}", f"data.sources.0.seed={seed}", *args.overrides]
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, ROOT / "run_chain.py", "run", args.config, run, "--quiet"]
            + [word for one in sets for word in ("--set", one)],
            check=True,
        )
        rounds = sorted((run / "rounds").glob("[0-9][0-9]"))
        curve = [accuracy(r / "teacher") for r in rounds] + [accuracy(run / "final")]
        gains.append(curve[-1] - curve[0])
        print(
            f"seed {seed}: teachers {' '.join(f'{100 * a:.1f}' for a in curve)}"
            f"  gain {100 * gains[-1]:+.1f} points  ({time.monotonic() - begun:.0f} s)",
            flush=True,
        )
    gain = 100 * statistics.median(gains)
    print(f"median gain of the last teacher over the first: {gain:+.1f} points of test accuracy")


if __name__ == "__main__":
    main()
