"""What is an hour of labelling worth? The most informative patches of a finished chain against random ones.

    python -m benchmarks.review_gain [--seeds 0 1 2] [--n 100] [--round 0] [--from teacher] [--into runs/review_gain]
                                     [--set KEY=VALUE]

For each seed the chain is run; then, in two copies of it, N pool patches of a round are exported, labelled by the
hidden truth as an infallible person would, imported, and the chain is made again: from the first teacher on, which
learns these labels too, or, with `--from select`, from what that round decided on. Prints test accuracy of the final
model before and after. Interrupted, it goes on: what is finished is not repeated.
"""

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from data.splits.written import load_audit, load_splits  # noqa: E402

PICKS = ("informative", "random")
RESULT = "review_gain.json"  # in a copy whose chain has been made again to its end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--round", type=int, default=0)
    parser.add_argument("--from", dest="start", choices=["teacher", "select"], default="teacher")
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "review_gain")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "demo.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    start = "rounds/00/teacher" if args.start == "teacher" else f"rounds/{args.round:02d}/select"
    found: dict[str, list[float]] = {name: [] for name in ("before", *PICKS)}
    for seed in args.seeds:
        begun = time.monotonic()
        base = args.into / f"seed-{seed}"
        sets = [f"seed={seed}", f"splits.seed={seed}", f"data.sources.0.seed={seed}", *args.overrides]
        chain("run", args.config, base, *[word for one in sets for word in ("--set", one)], threads=args.threads)
        found["before"].append(accuracy(base))
        shown = [f"before {100 * found['before'][-1]:.1f}"]
        for pick in PICKS:
            run = args.into / f"seed-{seed}-{pick}-{args.n}-of-{args.round}-from-{args.start}"
            result = reviewed(base, run, pick, args.round, args.n, start, args.threads)
            found[pick].append(result["accuracy"])
            shown.append(
                f"{pick} {100 * result['accuracy']:.1f} ({result['agreed']} of {args.n} suggestions were right)"
            )
        print(f"seed {seed}: {', '.join(shown)}  ({time.monotonic() - begun:.0f} s)", flush=True)
    middle = {name: 100 * statistics.median(values) for name, values in found.items()}
    gains = {
        name: 100 * statistics.median([a - b for a, b in zip(found[name], found["before"], strict=True)])
        for name in PICKS
    }
    print(
        f"median test accuracy: {middle['before']:.1f} before; after {args.n} labels "
        + ", ".join(f"{middle[name]:.1f} {name} (median gain {gains[name]:+.1f} points)" for name in PICKS)
    )


def reviewed(base: Path, run: Path, pick: str, number: int, n: int, start: str, threads: int) -> dict[str, Any]:
    """Make `run` from a copy of `base`. start: address of the first step that is made again.

    Returns accuracy (of the final model on test) and agreed (suggestions of the sheet that were right).
    """
    if not (run / RESULT).is_file():
        shutil.rmtree(run, ignore_errors=True)  # of an attempt that was interrupted, nobody knows where
        shutil.copytree(base, run)
        folder = run / "exports" / "asked"
        chain("review", "export", run, "--round", number, "--n", n, "--pick", pick, "--out", folder, quiet=False)
        label_by_truth(run, folder / "review.csv")
        chain("review", "import", run, folder / "review.csv", "--by", "hidden truth", quiet=False)
        chain("rerun", run, "--from", start, threads=threads)
        about = json.loads((run / "reviews/0000/review.json").read_text())
        (run / RESULT).write_text(json.dumps({"accuracy": accuracy(run), "agreed": about["agreed"]}))
    result: dict[str, Any] = json.loads((run / RESULT).read_text())
    return result


def label_by_truth(run: Path, sheet: Path) -> None:
    """Fill in a sheet with what the source knows and the chain does not."""
    audit, classes = load_audit(run / "data/splits"), load_splits(run / "data/splits").classes
    truth = {f"{int(one):016x}": classes[code] for one, code in zip(audit.ids, audit.label, strict=True)}
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(row | {"label": truth.get(row["id"], "")} for row in rows)


def accuracy(run: Path) -> float:
    return float(json.loads((run / "final" / "metrics.json").read_text())["test"]["accuracy"])


def chain(*words: object, threads: int = 0, quiet: bool = True) -> None:
    """One command of the program."""
    more = ["--quiet", "--threads", str(threads)] if quiet else []
    command = [sys.executable, str(ROOT / "run_chain.py"), *map(str, words), *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
