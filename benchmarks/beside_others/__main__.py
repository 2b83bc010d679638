"""The whole chain beside others: the same patches, network, steps and rounds, on two threads, in turns.

    git clone WILDS' repository (p-lambda/wilds), then
    python -m benchmarks.beside_others crc5 --wilds wilds [--repeats 3]
    python -m benchmarks.beside_others drawn --wilds wilds      # patches drawn by the program, networks begin at random
    python -m benchmarks.beside_others crc5 --table-from beside/turns.json     # measures nothing

SET is `drawn`, a set below the folder that PATCHCHAIN_DATA names, or any folder with a folder of patches a class.
Sides: this chain; WILDS' `run_expt.py` for the first teacher and `noisy_student_wrapper.py` for the rounds, by three
stand-ins without which it does not start (shims.py says which and why), none of its files changed; scikit-learn's
SelfTrainingClassifier on features of the same network, frozen. Measured of each, with everything it starts, from the
first import on: seconds by the clock and of the processor, the largest sum of its processes' memory (PSS, taken
whenever the plain sum of their pages has risen), balanced accuracy of its last model on the test patches, by one piece
of code for all. Then each is killed (-9, all its processes) at half of its own time and started again by the same
command: seconds of both starts beyond an undisturbed run, and steps of training done again.

--into keeps every figure in turns.json: interrupted, the same command goes on. --table-from prints that file's table.
"""

import argparse
import os
import signal
import sys
from dataclasses import asdict, fields
from pathlib import Path

from benchmarks.beside_others import judge
from benchmarks.beside_others.patches import DRAWN, written
from benchmarks.beside_others.setting import Setting
from benchmarks.beside_others.sides import SIDES, Desk
from benchmarks.beside_others.table import table
from benchmarks.beside_others.turns import Kept, Turn, measure, turns_of
from benchmarks.sets import ROOT, in_words, sets_folder, weights_below


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Every figure of a Setting is an option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="SET")
    parser.add_argument("--wilds", type=Path, help="a checkout of WILDS: examples/ and wilds/")
    parser.add_argument("--weights", type=Path, help="ImageNet weights under timm's names; default: beside the sets")
    parser.add_argument("--only", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kills", type=int, help="turns in which all are killed, too; default: all")
    parser.add_argument("--wilds-workers", type=int, default=0, help="loader processes of WILDS, as --workers of ours")
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "beside_others")
    parser.add_argument("--table-from", type=Path)
    for one in fields(Setting):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    args = parser.parse_args(words)
    if "wilds" in args.only and not args.table_from and args.wilds is None:
        parser.error("--wilds: where is the checkout? or leave that side out: --only ours sklearn")
    return args


def main() -> int:
    args = parsed()
    if args.table_from:
        print(table(turns_of(args.table_from)))
        return 0
    setting = Setting(**{one.name: getattr(args, one.name) for one in fields(Setting)})
    data = sets_folder()
    into = args.into.absolute()
    folder = into / "data"
    rows = written(args.set, data, setting, folder)
    weights = args.weights or weights_below(data, setting.network)
    if args.set != DRAWN and not (folder / "weights.pth").is_file():
        judge.weights_file(setting.network, weights, folder / "weights.pth")
    examples = args.wilds.absolute() / "examples" if args.wilds else None
    desk = Desk(setting, folder, rows, examples, args.wilds_workers)
    print(
        f"{len(rows.paths):,} patches of {desk.classes} classes; {setting.steps(desk.classes)} steps, "
        f"{setting.trained(desk.classes):,} patches through the network in training", file=sys.stderr,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs ends with this process
    os.chdir(ROOT)  # where `-m benchmarks...` is found by all that is started
    kept = Kept(into / "turns.json", {"set": args.set, "wilds_workers": args.wilds_workers} | asdict(setting))
    kills = args.repeats if args.kills is None else min(args.kills, args.repeats)
    measure(desk, kept, args.only, args.repeats, kills, into, _say)
    print(table(kept.turns))
    return 0


def _say(turn: Turn) -> None:
    print(turn, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(in_words(main))
