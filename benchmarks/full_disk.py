"""A disk that is full at some moment of a chain: nothing committed is lost, and with more room it goes on.

    python -m benchmarks.full_disk

Chains of tiny_chain.py, on file systems in memory that are smaller than what a chain writes, from
hopeless to almost enough (through `unshare -Urm`, which needs no rights; where that is not allowed, and besides, under
a limit on the size of a file). After each refusal `verify` must find nothing wrong; then the disk is enlarged, the same
command goes on, and every committed byte is compared. Ends with 0 when all are the same and every code was 74, else 1.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.forking import start, warm_up
from benchmarks.killing import committed, differing
from benchmarks.tiny_chain import CONFIG

FULL = 74
HARDWARE = ["--threads", "1", "--device", "cpu", "--quiet"]


class Trial:
    """One run directory that is written to twice: with too little room, and with enough."""

    def __init__(self, config: Path, truth: dict[str, str]) -> None:
        self.config, self.truth = config, truth
        self.refused, self.wrong = 0, []

    def begin(self, run: Path, limit: int | None = None) -> None:
        """Run where there is too little room; a refusal is three lines, and what stands verifies."""

        def limited() -> None:
            if limit is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        words = ["run", str(self.config), str(run), *HARDWARE]
        (first,) = start([(words, None)], limited)
        self.refused += first.code == FULL
        lines = [line for line in first.said.splitlines() if not line.startswith("warning")]
        if first.code not in (0, FULL) or "Traceback" in first.said or len(lines) > 3:
            self.wrong.append(f"{run.name}: exit {first.code}: {first.said}")
        if (run / "config.yaml").is_file():
            (found,) = start([(["verify", str(run)], None)])
            if found.code:
                self.wrong.append(f"{run.name}: verify says {found.said}")

    def end(self, run: Path) -> None:
        """The same command where there is room."""
        (last,) = start([(["run", str(self.config), str(run), *HARDWARE], None)])
        found = committed(run)
        if last.code or found != self.truth:
            self.wrong.append(
                f"{run.name}: then exit {last.code}, differing {differing(found, self.truth)[:3]}: {last.said}"
            )


def on_small_disks(trial: Trial, disk: Path, sizes: list[int]) -> None:
    disk.mkdir()
    for size in sizes:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        subprocess.run(mount, check=True)
        try:
            run = disk / f"disk-of-{size}"
            trial.begin(run)
            subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
            trial.end(run)
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disks", type=int, default=12, help="sizes of disks, and of files, to try")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if (
        not args.inside
        and subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode == 0
    ):
        words = ["unshare", "-Urm", sys.executable, "-m", "benchmarks.full_disk", "--inside", "--disks"]
        return subprocess.run([*words, str(args.disks)], check=False).returncode
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        root = Path(folder)
        config = root / "tiny.yaml"
        config.write_text(f"rounds: 1\n{CONFIG}")
        plain = root / "plain"
        warm_up([["run", str(config), str(plain), *HARDWARE]])
        trial = Trial(config, committed(plain))
        written = sum(path.stat().st_size for path in plain.rglob("*") if path.is_file())
        largest = max(path.stat().st_size for path in plain.rglob("*") if path.is_file())
        shares = [(k + 0.5) / args.disks for k in range(args.disks)]
        if args.inside:
            # whole pages, and more than the end needs, since checkpoints come and go
            on_small_disks(trial, root / "disk", [int(2 * written * share) // 4096 * 4096 + 4096 for share in shares])
        disks = trial.refused
        for share in shares:
            run = root / f"files-of-{share:.3f}"
            trial.begin(run, int(3 * largest * share))
            trial.end(run)
            with contextlib.suppress(OSError):
                shutil.rmtree(run)
    for line in trial.wrong:
        print(line)
    summary = {
        "full disks": disks,
        "of sizes": args.disks if args.inside else 0,
        "files too large": trial.refused - disks,
        "of limits": args.disks,
        "files": len(trial.truth),
        "wrong": len(trial.wrong),
    }
    print(json.dumps(summary))
    return 1 if trial.wrong or not trial.refused else 0


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    sys.exit(main())
