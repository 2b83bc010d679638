"""How far few labels go: a chain beside everything it has to beat, on a set of patches.

    python -m benchmarks.label_efficiency crc5 --fractions 0.005 0.01 0.05 --seeds 0 1 2 --size small
    python -m benchmarks.label_efficiency crchisto27 --size full --device cuda --presets default noisy_student
    python -m benchmarks.label_efficiency some/manifest.csv --size toy      # path,label,patient,slide,split
    python -m benchmarks.label_efficiency drawn --size small --weights lite0.safetensors    # needs no data

For each fraction of the labels and each seed: labels only, the chain after each round, a linear probe on a frozen
encoder with the same labels, scikit-learn's self-training on the same features; and with all labels the probe, and
the same network for the same number of steps. Each on two columns: the pool itself, by its hidden truth, which no
decision sees, and slides never seen (patients, else slides, else groups that stand for them, are held out whole).
Accuracy, balanced accuracy, macro F1 and calibration error with 95 % intervals, mean and worst seed, wall time.

Chains are run by the program itself; `--into` holds each as a run directory, and every finished row. Killed or
stopped, the same command goes on where it was. Prints the table; writes results.json, table.md and curve.png.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.label_efficiency import desk as desks
from benchmarks.label_efficiency import docs, plot, study, summary, tables
from benchmarks.label_efficiency.chains import Machine
from benchmarks.label_efficiency.sizes import SIZES
from benchmarks.sets import ROOT, in_words, sets_folder, weights_below
from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes, write_json
from pipeline.directory.lock import held


def main(argv: list[str] | None = None) -> int:
    """Run what is missing, then print and write the table."""
    args = _parser().parse_args(argv)
    command = shlex.join(["python", "-m", "benchmarks.label_efficiency", *(argv or sys.argv[1:])])
    return in_words(lambda: _run(args, command))


def _run(args: argparse.Namespace, command: str) -> int:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    asked = _study(args)
    asked.into.mkdir(parents=True, exist_ok=True)
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    failed: list[dict[str, str]] = []
    found: list[summary.Found] = []
    with held(asked.into / "chain.lock", "label_efficiency"):
        desk = desks.prepared(asked, _say)
        for one in study.cells(desk, _say, failed):
            found.append(one)
            _write(asked.into, _result(desk, command, found, failed))  # a look at any time
        result = _result(desk, command, found, failed)
        report = _write(asked.into, result)
        picture = asked.into / "curve.png"
        if not plot.draw(result["table"], _title(result["about"]), picture):
            _say("no plot: matplotlib is not installed (pip install -e '.[dev]')")
    print(report)
    if args.write_docs is not None:
        name = _named(args)
        docs.write(args.write_docs, name, report, picture)
        docs.keep(asked.into, args.write_docs.parent / "evidence" / f"{name}-{args.size}")
    return ExitCode.BAD_DATA if failed else ExitCode.DONE


def _write(into: Path, result: dict[str, Any]) -> str:
    report = tables.report(result)
    write_json(into / "results.json", result)
    write_bytes(into / "table.md", report.encode())
    return report


def _title(about: Mapping[str, Any]) -> str:
    thin = ", ".join(f"{name} to {100 * share:g} %" for name, share in about["thin"].items())
    few = f", labels of {about['groups']} patients or slides a class" if about["groups"] else ""
    return f"{about['set']}{f', its pool thinned ({thin})' if thin else ''}{few}: balanced accuracy"


def _result(desk: desks.Desk, command: str, found: list[summary.Found], failed: list[dict[str, str]]) -> dict[str, Any]:
    cells = [
        {
            "method": f.method,
            "fraction": f.fraction,
            "validation": f.validation,
            "seed": f.seed,
            "labels": f.labels,
            **f.row,
        }
        for f in found
    ]
    return {
        "about": desks.about(desk, command),
        "table": summary.table(found),
        "verdicts": summary.verdicts(found),
        "cells": cells,
        "failed": failed,
    }


def _study(args: argparse.Namespace) -> desks.Study:
    into = args.into or ROOT / "runs" / "evidence" / f"{_named(args)}-{args.size}"
    weights = args.weights or weights_below(args.data)
    return desks.Study(
        args.set, into, args.data, weights, tuple(args.fractions), tuple(args.seeds), args.size, tuple(args.presets),
        tuple(args.validation), Machine(args.device, args.precision, args.workers, args.threads),
        dict(_setting(text) for text in args.overrides), dict(args.thin), args.groups, args.px, args.drop_stores,
        args.only_done,
    )  # fmt: skip


def _named(args: argparse.Namespace) -> str:
    """The set, and what was set in every chain: another table, which stands beside that of the set."""
    name = Path(args.set).stem if Path(args.set).suffix else args.set
    thin = [f"thin-{of}-{share:g}" for of, share in args.thin]
    groups = [f"groups-{args.groups}"] if args.groups else []
    return "-".join([name, *(text.replace("=", "-") for text in args.overrides), *thin, *groups])


def _setting(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise ChainError(f"--set {text}", "a setting is KEY=VALUE", "for instance student.lr=3.0e-4", ExitCode.USAGE)
    return key, yaml.safe_load(value)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, given {text}")
    return value


def _thin(text: str) -> tuple[str, float]:
    name, found, share = text.rpartition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"expected CLASS=SHARE, given {text}")
    return name, _share(share)


def _judging(text: str) -> float:
    return 0.0 if float(text) == 0 else _share(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "label_efficiency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("set", metavar="SET", help="crc5, crchisto27, luna50 below --data, drawn, or the path of a manifest")
    add("--fractions", type=_share, nargs="+", default=[0.005, 0.01, 0.05], help="of the training labels, by class")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each draws what is held out and what is labelled")
    add("--size", choices=sorted(SIZES), default="small")
    add("--presets", nargs="+", default=["default"], help="of configs/presets, or files; the first is the ceiling's")
    add("--validation", type=_judging, nargs="+", default=[0.3, 0.0], metavar="SHARE",
        help="share of the labels that only judge, and so are not trained on; 0: no validation at all")  # fmt: skip
    add("--into", type=Path, help="default: runs/evidence/SET-SIZE")
    add("--data", type=Path, default=sets_folder(), help="where the sets lie; also PATCHCHAIN_DATA")
    add("--weights", type=Path, help="tf_efficientnet_lite0 under timm's names, safetensors; default: below --data")
    add("--px", type=int, default=0, help="side of a patch in training; default: by size")
    add("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="in every chain")
    add("--thin", type=_thin, nargs="+", default=[], metavar="CLASS=SHARE",
        help="only so much of a class's pool is there; its labels are as many as ever")  # fmt: skip
    add("--groups", type=int, default=0, metavar="N",
        help="labels of a class are of N patients, slides or groups alone; 0: of all there are")  # fmt: skip
    add("--device", choices=["auto", "cpu", "cuda"], default="auto")
    add("--precision", choices=["32", "bf16"], default="32")
    add("--workers", type=int, default=0, help="loader processes")
    add("--threads", type=int, default=0, help="CPU threads; 0: as torch finds them")
    add(
        "--drop-stores", action="store_true", help="remove a finished chain's copy of the patches (verify refuses then)"
    )
    add("--only-done", action="store_true", help="start nothing: a table of what is finished, seeds by row")
    add(
        "--write-docs",
        type=Path,
        nargs="?",
        const=ROOT / "docs" / "results.md",
        help="put the table into docs/results.md, and what it was made from below docs/evidence",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
