"""Does `select.rule: risk` keep its promise on real patches? Whole chains, each with splits and a teacher of its own.

    python -m benchmarks.risk_promise crc5 --seeds 20 --precision 0.95
    python -m benchmarks.risk_promise drawn --seeds 20 --precision 0.9 --validation 0.2 --unit slide

By each seed the program draws validation and labels, trains the teacher of `default`, labels the pool, and keeps what
validation proves to be right in the stated share. Prints what was kept and how much of it is right by the truth that no
decision sees, and in how many of the seeds it is the stated share. `--unit patch`: validation is of the pool's own
slides, and so like the pool, as the promise asks; `--unit slide`: whole patients, else slides, else groups of colour
are held out, as it should be done, and nothing says that they are like the pool. Interrupted, it goes on.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import run_chain
from benchmarks.label_efficiency import configs
from benchmarks.label_efficiency import desk as desks
from benchmarks.label_efficiency.listing import Listing
from benchmarks.label_efficiency.sizes import SIZES, SizeName
from benchmarks.sets import ROOT, EndedError, in_words, sets_folder, weights_below
from data.errors import ExitCode
from data.files.atomic import replacing, write_bytes
from pipeline.config.reading import load_config

UNITS = ("patch", "slide")
HEADER = ("path", "label", "patient", "slide")


def main(words: Sequence[str] | None = None) -> int:
    """Print a line a seed, then how often the promise was kept."""
    args = _parser().parse_args(words)
    return in_words(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    weights = args.weights or weights_below(args.data)
    name = Path(args.set).stem
    features = args.features or ROOT / "runs" / "evidence" / f"{name}-{args.size}"
    study = desks.Study(args.set, features, args.data, weights, (), (), args.size, (), ())
    desk = desks.prepared(study, lambda line: print(line, file=sys.stderr))
    into = args.into or ROOT / "runs" / "risk" / f"{name}-{args.unit}-{args.precision:g}-{args.size}"
    into.mkdir(parents=True, exist_ok=True)
    _write_manifest(into / "manifest.csv", desk.listing, args.unit)
    whole = "validation by patch" if args.unit == "patch" else f"validation: {desks.judged_by(desk.listing)}"
    print(f"{whole}; stated: {args.precision:.0%}", flush=True)
    found = []
    for seed in range(args.seeds):
        run = into / f"seed-{seed:02d}"
        config = _config(desk, into / "manifest.csv", weights, seed, args)
        found.append(_judged(run, config, args))
        print(_line(seed, found[-1], args.precision), flush=True)
    kept = [one for one in found if one is not None]
    held = sum(one["precision"] >= args.precision for one in kept)
    classes = [value for one in kept for value in one["classes"].values()]
    none, right = len(found) - len(kept), sum(value >= args.precision for value in classes)
    print(
        f"{held + none} of {len(found)} seeds keep the promise, {none} of them by keeping nothing; "
        f"{right} of {len(classes)} kept classes have the precision"
    )
    return ExitCode.DONE


def _write_manifest(path: Path, listing: Listing, unit: str) -> None:
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for key, label, patient, slide in zip(listing.key, listing.label, listing.patient, listing.slide, strict=True):
            # patches that name neither are divided one by one
            rows.writerow([key, label, *((patient, slide) if unit == "slide" else ("", ""))])


def _config(desk: desks.Desk, manifest: Path, weights: Path, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """`default` up to its first selection, which is by `risk` and by the teacher's own scores; a student for form."""
    data = configs.data_of(desk.listing, desk.px, str(manifest))
    made = configs.chain(configs.read_preset("default"), data, seed, SIZES[args.size], weights, 1.0)
    splits = {"validation": args.validation, "test": 0.0, "labels": {"fraction": args.labels}}
    made["student"] |= {"steps": 1, "evaluate_every": 1, "batch_size": 2}
    return made | {
        "rounds": 1,
        "splits": made["splits"] | splits,
        "predict": {"views": 1},
        "select": {"rule": "risk", "precision": args.precision},
    }


def _judged(run: Path, config: dict[str, Any], args: argparse.Namespace) -> dict[str, Any] | None:
    """What one chain kept, by the hidden truth; None where nothing could be proven."""
    path = run.with_suffix(".yaml")
    write_bytes(path, yaml.safe_dump(config, sort_keys=False).encode())
    quality = run / "rounds" / "00" / "select" / "quality.json"
    if not quality.is_file():
        hardware = ["--threads", str(args.threads), "--device", args.device]
        code = run_chain.main(["run", str(path), str(run), "--quiet", *hardware])
        # the code is also that of a run directory which was made with other settings
        if code == ExitCode.MISMATCH and load_config(run / "config.yaml") == load_config(path):
            return None
        if code:
            raise EndedError(code)
    told = json.loads(quality.read_bytes())
    classes = {one["class"]: one["audit"]["precision"] for one in told["per_class"] if one["kept"]}
    total = told["total"]
    return {
        "kept": total["kept"],
        "share": total["kept"] / total["predicted"],
        "precision": total["audit"]["precision"],
        "classes": classes,
        "of": len(told["per_class"]),
    }


def _line(seed: int, found: dict[str, Any] | None, precision: float) -> str:
    if found is None:
        return f"seed {seed}: nothing is proven, nothing kept"
    worst = min(found["classes"], key=lambda name: found["classes"][name])
    return (
        f"seed {seed}: {found['kept']:,} kept ({found['share']:.0%} of the pool, {len(found['classes'])} of "
        f"{found['of']} classes), {found['precision']:.1%} right; least of {worst}: {found['classes'][worst]:.1%}"
        f"{'' if found['precision'] >= precision else '  BELOW'}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "risk_promise", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("set", metavar="SET", help="crc5, crchisto27, luna50 below --data, drawn, or the path of a manifest")
    add("--seeds", type=int, default=20)
    add("--precision", type=float, default=0.95, help="what is stated, a class")
    add("--labels", type=float, default=0.05, help="share of each class's training patches that the teacher learns")
    add("--validation", type=float, default=0.1, help="share of the labelled patches that prove")
    add("--unit", choices=UNITS, default="patch")
    sizes: list[SizeName] = sorted(SIZES)
    add("--size", choices=sizes, default="small")
    add("--data", type=Path, default=sets_folder(), help="where the sets lie; also PATCHCHAIN_DATA")
    add("--weights", type=Path, help="tf_efficientnet_lite0 under timm's names, safetensors; default: below --data")
    add("--into", type=Path, help="default: runs/risk/SET-UNIT-PRECISION-SIZE")
    add("--features", type=Path, help="where the listing is kept; default: runs/evidence/SET-SIZE")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto")
    add("--threads", type=int, default=0, help="CPU threads; 0: as torch finds them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
