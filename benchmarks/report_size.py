"""How large, how quick: the report of a run with a pool of a million patches.

    python -m benchmarks.report_size [--pool 1000000] [--rounds 4] [--classes 9] [--slides 500] [--size-px 96]

Draws a finished run (tables of full size, small networks; see fake_run.py) into a temporary folder and writes its
report there; prints seconds, the page's size, the tables' size and the most memory used. Bounds: 20 MB and 120 s.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.fake_run import Shape, fake_run
from pipeline.report.build import write_report

MOST_BYTES, MOST_SECONDS = 20e6, 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--classes", type=int, default=9)
    parser.add_argument("--slides", type=int, default=500)
    parser.add_argument("--size-px", type=int, default=96)
    args = parser.parse_args()
    rule = {"rule": "top_k", "k": args.pool // 20, "k_step": args.pool // 40}
    classes = [f"class {k}" for k in range(args.classes)]
    shape = Shape(args.pool, {0: 2000, 2: 5000, 3: 5000}, classes, args.slides, args.rounds, args.size_px, rule=rule)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        layout = fake_run(Path(folder) / "run", shape)
        print(
            f"drawn in {time.monotonic() - begun:.0f} s: {args.pool:,} pool patches, {args.rounds} rounds", flush=True
        )
        begun = time.monotonic()
        print(write_report(layout))
        seconds = time.monotonic() - begun
        size = (layout.root / "report.html").stat().st_size
        beside = sum(path.stat().st_size for path in (layout.root / "report").rglob("*") if path.is_file())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"page {size / 1e6:.1f} MB in {seconds:.0f} s; tables {beside / 1e6:.0f} MB; at most {memory:,.0f} MB of memory"
    )
    assert size < MOST_BYTES, "the page is too large"
    assert seconds < MOST_SECONDS, "it took too long"


if __name__ == "__main__":
    main()
