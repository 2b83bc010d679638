"""How much memory and time it takes to tell a pool by labels that spread along likeness (`select.propagate`).

    python -m benchmarks.large_graph [--sizes 3e4 1e5 3e5 1e6] [--most 20000] [--labels 400] [--folder DIR]

Embeddings as `configs/presets/default.yaml` asks for them (teacher and encoder 1,280 values, style 1,024, in float16)
are drawn, five classes of some islands each, and written block by block (not counted). Then each size is a process of
its own that does what the select stage does: makes the graph, asks how far labels tell each other, and tells every
patch. The files were just written, so that most of them is in the system's cache where that is large enough.

Prints for each size: seconds by the clock and of the processor, microseconds of the processor a patch beyond the size
before, memory in MiB (`own`: the most the process had allocated itself, RssAnon, looked at every 10 ms; `peak`: all
that the system counted as its own, VmHWM), and which share of the pool is told right.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.large_pool import memory_mib, watched
from data.patches.labels import GivenLabels
from data.splits.written import Splits
from stages.job import Job
from stages.predict.embedding import OF_ENCODER, OF_STYLE, OF_TEACHER, lay_out_embeddings

CLASSES, ISLANDS, BLOCK = 5, 8, 4096
WIDTHS = {OF_TEACHER: 1280, OF_ENCODER: 1280, OF_STYLE: 1024}
RANK, SPREAD = 24, 0.3  # in how many directions patches vary, and how far, beside the distance of their islands


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[3e4, 1e5, 3e5, 1e6])
    parser.add_argument("--most", type=int, default=20_000, help="patches of the pool in the graph")
    parser.add_argument("--labels", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="where the files are drawn: a folder on a local disk")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measured(Path(args.one[0]), *map(int, args.one[1:]))))
        return
    print(f"{'patches':>11}{'s':>8}{'cpu s':>8}{'us a patch':>12}{'own MiB':>9}{'peak MiB':>10}{'right':>8}")
    before = None
    for size in map(int, args.sizes):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            draw(Path(folder), size)
            command = [sys.executable, "-m", "benchmarks.large_graph"]
            command += ["--one", folder, str(args.labels), str(args.most)]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(said)
        more = f"{1e6 * (found['cpu_s'] - before['cpu_s']) / (size - before['patches']):,.0f}" if before else ""
        before = found | {"patches": size}
        print(f"{size:>11,}{found['s']:>8.1f}{found['cpu_s']:>8.1f}{more:>12}{found['own']:>9,.0f}"
              f"{found['peak']:>10,.0f}{100 * found['right']:>6.1f} %", flush=True)  # fmt: skip


def draw(folder: Path, size: int) -> None:
    """The three files, and truth.npy: each patch is its island's middle and what that island's patches vary in."""
    rng = np.random.default_rng(0)
    ids = np.arange(size, dtype=np.uint64) * np.uint64(2**63 // size)
    island = rng.integers(0, CLASSES * ISLANDS, size)
    np.save(folder / "truth.npy", (island % CLASSES).astype(np.int16))
    for name, width in WIDTHS.items():
        values = lay_out_embeddings(folder / name, ids, width)
        middle = rng.standard_normal((CLASSES * ISLANDS, width)).astype(np.float32)
        along = SPREAD * rng.standard_normal((RANK, width)).astype(np.float32)
        for start in range(0, size, BLOCK):
            own = island[start : start + BLOCK]
            values[start : start + BLOCK] = middle[own] + rng.standard_normal((len(own), RANK), np.float32) @ along


def measured(folder: Path, labels: int, most: int) -> dict[str, float]:
    """One graph in this process."""
    from stages.predict.embedding import read_embeddings
    from stages.select.graph import Graph
    from stages.select.propagate import Propagate

    truth = np.load(folder / "truth.npy")
    ids = read_embeddings(folder / OF_TEACHER).ids
    rows = np.sort(np.random.default_rng(1).choice(len(ids), labels, replace=False))
    none = GivenLabels(ids[:0], truth[:0])
    rest = np.delete(np.arange(len(ids)), rows)
    given, pool = GivenLabels(ids[rows], truth[rows]), ids[rest]
    splits = Splits(tuple("abcde"), given, none, none, pool, (0.5,) * 3, (0.2,) * 3)
    job = Job("large_graph", "select", 0, 0, {}, {"predict": folder}, folder, folder, folder)
    import scipy.sparse  # noqa: F401  # what is loaded on first use is loaded before the clock starts
    import sklearn.model_selection  # noqa: F401

    own = watched()
    begun, cpu = time.perf_counter(), time.process_time()
    graph = Graph(job, Propagate(most=most), splits, pool, (rows, rest))
    told = graph.told()
    found = graph.scores(pool)
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    assert told is not None
    right = float((found.log_probs.argmax(axis=1) == truth[rest]).mean())
    return {"s": took, "cpu_s": cpu, "own": max(own), "peak": memory_mib("VmHWM"), "right": right}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
