"""How much memory and time a selection takes from a pool of a million to a hundred million patches.

    python -m benchmarks.large_pool [--sizes 1e6 1e7 1e8] [--classes 9] [--rules top_k balanced] [--repeats 3]
                                    [--folder DIR] [--plot FILE]
    python -m benchmarks.large_pool --sizes 1e8 --repeats 1 --rules every    # every rule, and what presets ask of them
    python -m benchmarks.large_pool --from-table docs/performance.md --plot docs/large_pool.png    # measures nothing

Scores in float16 are drawn into a scores.h5 block by block (not counted); then each measurement is a process of its own
that does what the select stage does from that file to selection.parquet: refuse what is not finite, fit the
temperature, choose by the rule as it is configured by default (top_k: a thousandth of the pool in all), write, and
negative.parquet where the rule says what patches are not. A rule is a name, or a section of a configuration:
'{rule: top_k, p: 2}'. Not in it is what the stage does besides: reading the splits, joining the pool with the patch
table, and the figures of quality.json. The file was just written, so that most of it is in the system's cache where
that is large enough.

Prints for each size and rule the median of the repeats: seconds of wall time and of processor time (both from opening
the file to the table being durable on disk), million rows a second, and memory in MiB: `own` is the most that the
process had allocated itself at any time (RssAnon, looked at every 10 ms), `peak` all that the system ever counted as
its own, mapped pages of files included (VmHWM), and `started` what of it the interpreter had before. `noise`: how far
the quartiles of its seconds are apart, in percent. The last column is seconds a row beside the size before: 1 is
linear.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

import numpy as np
import yaml

BLOCK = 1 << 20
VALIDATION = 5000
LOOK_S = 0.01
BAR_S, BAR_MIB = 30, 2048  # for a pool of 10^8
ASKED = (  # by presets, beyond what a rule does by default
    "{rule: top_k, p: 2}", "{rule: balanced, share: 0.6, precision: 0.93}", "{rule: uncertainty, negative: true}",
)  # fmt: skip
COLUMNS = {"patches": "patches", "s": "s", "own": "own MiB", "peak": "peak MiB"}  # ours -> of a table in Markdown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--classes", type=int, default=9)
    parser.add_argument("--rules", nargs="+", default=["top_k", "balanced"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are drawn: a folder on a local disk")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--from-table", type=Path, help="a Markdown file with a table of these figures: only plot them")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measured(Path(args.one[0]), json.loads(args.one[1]))))
        return
    if args.from_table:
        plot(read_table(args.from_table), args.plot or parser.error("--from-table: where to? say --plot FILE"))
        return
    from stages.select.rules import members

    rows = []
    sections = [_section(rule) for rule in ([*members(), *ASKED] if args.rules == ["every"] else args.rules)]
    widest = max(map(len, map(_shown, sections))) + 1
    print(f"{'rule':<{widest}}{'patches':>13}{'kept':>13}{'s':>8}{'cpu s':>8}{'M rows/s':>10}"
          f"{'own MiB':>9}{'peak MiB':>10}{'started':>9}{'noise':>7}{'s a row':>9}")  # fmt: skip
    for size in map(int, args.sizes):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            draw(Path(folder) / "scores.h5", size, args.classes, {name for one in sections for name in _needed(one)})
            for section in sections:
                rule = _shown(section)
                k = {"k": max(1, size // 1000 // args.classes)} if section["rule"] == "top_k" else {}
                found = [_process(Path(folder), section | k) for _ in range(args.repeats)]
                row = median(found) | {"rule": rule, "patches": size}
                before = [one for one in rows if one["rule"] == rule][-1:]
                slower = f"{row['s'] / size / (before[0]['s'] / before[0]['patches']):.2f}" if before else ""
                rows.append(row)
                print(f"{rule:<{widest}}{size:>13,}{row['kept']:>13,}{row['s']:>8.1f}{row['cpu_s']:>8.1f}"
                      f"{size / row['s'] / 1e6:>10.2f}{row['own']:>9,.0f}{row['peak']:>10,.0f}"
                      f"{row['started']:>9,.0f}{row['noise']:>7.0f}{slower:>9}", flush=True)  # fmt: skip
    if args.plot:
        plot(rows, args.plot)


def _section(word: str) -> dict[str, Any]:
    found = yaml.safe_load(word)
    return found if isinstance(found, dict) else {"rule": found}


def _shown(section: dict[str, Any]) -> str:
    return ", ".join([section["rule"], *(f"{name} {value}" for name, value in section.items() if name != "rule")])


def _needed(section: dict[str, Any]) -> set[str]:
    # of scores.h5, beside the scores
    return {"uncertainty": {"deviation"}, "agreement": {"opinions"}}.get(section["rule"], set())


def draw(path: Path, size: int, classes: int, more: Set[str] = frozenset()) -> None:
    """scores.h5 with a pool of `size` patches and 5,000 of validation, of a teacher that is sure more often than right.

    Classes are uneven: each is predicted 0.8 times as often as the one before. Ids rise, at random distances. more:
    `deviation`, of which a class in two is below what UPS allows, and `opinions`, of one earlier state.
    """
    from data.files.atomic import replacing
    from stages.blocks import let_go
    from stages.scores import lay_out_scores

    rng = np.random.default_rng(0)
    step = 2**63 // max(size, VALIDATION)
    parts = {"pool": size, "validation": VALIDATION}
    ids = {name: np.arange(n, dtype=np.uint64) * np.uint64(step) + rng.integers(0, step, n, np.uint64)
           for name, n in parts.items()}  # fmt: skip
    lean = np.log(0.8) * np.arange(classes, dtype=np.float32)
    with replacing(path) as part:
        columns = {"log_probs": (classes,), "deviation": (classes,), "opinions": (1, classes)}
        found = lay_out_scores(part, ids, {name: columns[name] for name in ("log_probs", *more)})
        for name, n in parts.items():
            for start in range(0, n, BLOCK):
                shape = (min(BLOCK, n - start), classes)
                rows, logits = slice(start, start + shape[0]), 3 * rng.standard_normal(shape, np.float32) + lean
                found[name]["log_probs"][rows] = _log_softmax(logits)
                if "deviation" in more:
                    found[name]["deviation"][rows] = 0.1 * rng.random(shape, np.float32)
                if "opinions" in more:
                    found[name]["opinions"][rows, 0] = _log_softmax(logits + rng.standard_normal(shape, np.float32))
                for written in found[name].values():
                    let_go(written)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    found: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return found


def measured(folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    """One selection in this process."""
    from data.patches.labels import GivenLabels
    from stages.scores import read_scores
    from stages.select.belief import Believed, fit_belief
    from stages.select.config import parse_rule
    from stages.select.evidence import Evidence, HeldOut
    from stages.select.negatives import write_negatives
    from stages.select.refusals import refuse_not_finite
    from stages.select.stage import decide

    rule = parse_rule(section)
    validation = read_scores(folder / "scores.h5", "validation")
    truth = _drawn(validation.probs())
    import scipy.optimize  # noqa: F401  # what is loaded on first use is loaded before the clock starts
    from pyarrow import parquet

    own = watched()
    started, begun, cpu = memory_mib("VmHWM"), time.perf_counter(), time.process_time()
    pool = read_scores(folder / "scores.h5", "pool", mapped=True)
    refuse_not_finite("large_pool", "pool", pool)
    given = GivenLabels(validation.ids, truth)
    labelled = np.bincount(truth, minlength=pool.log_probs.shape[1])
    belief = fit_belief(rule, pool, validation, given, labelled, 0)
    held = HeldOut(belief.of(validation), truth, np.arange(len(truth)))
    opinions = tuple(Believed(belief, one) for one in pool.others())
    evidence = Evidence(
        pool.ids, Believed(belief, pool),
        labelled=labelled, held_out=held, deviation=pool.deviation, opinions=opinions,
    )  # fmt: skip
    decide(rule, evidence, None, folder / "selection.parquet")
    negatives = rule.negatives(evidence)
    if negatives is not None:
        write_negatives(folder, negatives)
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    kept = parquet.read_metadata(folder / "selection.parquet").num_rows
    return {
        "kept": kept, "s": took, "cpu_s": cpu,
        "own": max(own), "peak": memory_mib("VmHWM"), "started": started,
    }  # fmt: skip


def median(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure over the repeats; of memory the most. noise: of seconds, what is between quartiles, in percent."""
    low, middle, high = np.percentile([one["s"] for one in found], [25, 50, 75])
    return {"noise": 100 * (high - low) / middle} | {
        name: value if name == "kept"
        else (max if name in ("own", "peak", "started") else statistics.median)(one[name] for one in found)
        for name, value in found[0].items()
    }  # fmt: skip


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds by size, on logarithmic axes, with the line of slope one through the largest, and memory; bars dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from data.files.atomic import replacing

    figure, (seconds, memory) = pyplot.subplots(1, 2, figsize=(10, 4))
    for rule in dict.fromkeys(row["rule"] for row in rows):
        own = sorted((row for row in rows if row["rule"] == rule), key=lambda row: row["patches"])
        sizes = [row["patches"] for row in own]
        (line,) = seconds.loglog(sizes, [row["s"] for row in own], "o", label=rule)
        linear = [own[-1]["s"] * size / sizes[-1] for size in sizes]
        seconds.loglog(sizes, linear, "-", lw=1, color=line.get_color(), label=f"{rule}: linear, through the largest")
        memory.semilogx(sizes, [row["own"] for row in own], "o-", lw=1, color=line.get_color(), label=f"{rule}: own")
        memory.semilogx(sizes, [row["peak"] for row in own], "x:", lw=1, color=line.get_color(), label=f"{rule}: peak")
    seconds.axhline(BAR_S, linestyle="--", color="0.3", lw=1, label=f"bar for 10⁸: {BAR_S} s")
    memory.axhline(BAR_MIB, linestyle="--", color="0.3", lw=1, label=f"bar for 10⁸: {BAR_MIB / 1024:g} GiB")
    seconds.set(xlabel="patches in the pool", ylabel="seconds")
    memory.set(xlabel="patches in the pool", ylabel="MiB")
    memory.set_ylim(bottom=0)
    for panel in (seconds, memory):
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)
    figure.tight_layout()
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png", metadata={"Software": None})
    pyplot.close(figure)


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of the table of such figures in a Markdown file; a row that names no rule is of the one above it."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in path.read_text().splitlines()]
    start = next(k for k, cells in enumerate(lines) if cells[:3] == ["rule", "patches", "kept"])
    names, rows = lines[start], list[dict[str, Any]]()
    for cells in itertools.takewhile(bool, lines[start + 2 :]):
        found = dict(zip(names, cells, strict=True))
        figures = {key: float(found[name].replace(",", "")) for key, name in COLUMNS.items()}
        rows.append({"rule": found["rule"] or rows[-1]["rule"], **figures})
    return rows


def _process(folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.large_pool", "--one", str(folder), json.dumps(section)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _drawn(probs: np.ndarray) -> np.ndarray:
    # labels as a teacher would find them that is right as often as it says
    draw = np.random.default_rng(1).random((len(probs), 1))
    return np.minimum((draw > probs.cumsum(axis=1)).sum(axis=1), probs.shape[1] - 1).astype(np.int16)


def memory_mib(name: str, process: int | str = "self") -> float:
    """What the system counts under that name. Raises OSError, StopIteration where the process has ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def watched() -> list[float]:
    # what this process has allocated, from now on
    seen = [memory_mib("RssAnon")]

    def look() -> None:
        while True:
            seen[0] = max(seen[0], memory_mib("RssAnon"))
            time.sleep(LOOK_S)

    threading.Thread(target=look, daemon=True).start()
    return seen


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
