"""What tells which patches are alike? Labels spread along what a frozen encoder sees, with and without style.

    python -m benchmarks.likeness crc5 --fractions 0.005 0.05 --seeds 0 1 2
    python -m benchmarks.likeness crchisto27 --fractions 0.01

No network is trained: by each seed's given labels `select.propagate` tells the pool (judged by its hidden truth) and
the patches held out, which are those of benchmarks/label_efficiency. Prints balanced accuracy, each seed and the mean:
along what the classifier reads, along style (predict.encoder.style), along both. Features are kept below --into.
"""

import argparse
import io
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score

from benchmarks.label_efficiency import desk as desks
from benchmarks.label_efficiency import holdout
from benchmarks.label_efficiency.features import batches, encoder
from benchmarks.sets import ROOT, in_words, sets_folder, weights_below
from data.files.atomic import write_bytes
from data.splits.written import LABELLED, POOL, TEST
from stages.predict.style import styled
from stages.process.allocator import keep_freed_memory
from stages.select.propagate import Axes, Likeness, Propagate, together, units


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", help="crc5, crchisto27, luna50 below --data, or a manifest")
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.01])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=sets_folder())
    parser.add_argument("--into", type=Path, help="default: runs/likeness/SET")
    args = parser.parse_args()
    keep_freed_memory()
    into = args.into or ROOT / "runs" / "likeness" / Path(args.set).stem
    weights = weights_below(args.data)
    study = desks.Study(
        args.set, into, args.data, weights, tuple(args.fractions), tuple(args.seeds), "small", ("default",), (0.0,)
    )
    desk = desks.prepared(study, lambda line: print(line, file=sys.stderr))
    style = _style(desk, weights, into / "style.npy")
    ways = {"encoder": [desk.features], "style": [style], "encoder and style": [desk.features, style]}
    for fraction in args.fractions:
        for name, sources in ways.items():
            found = np.array([_told(desk, sources, fraction, seed) for seed in args.seeds])
            shown = "  ".join(f"{100 * pool:.1f} / {100 * unseen:.1f}" for pool, unseen in found)
            pool, unseen = 100 * found.mean(axis=0)
            print(f"{100 * fraction:g} %  {name:18} pool / unseen  {shown}  mean {pool:.1f} / {unseen:.1f}", flush=True)
    return 0


def _told(desk: desks.Desk, sources: list[np.ndarray], fraction: float, seed: int) -> tuple[float, float]:
    """Balanced accuracy of the pool and of what was held out."""
    listing = desk.listing
    side = holdout.sides(listing, seed)
    label = np.array([listing.classes.index(str(name)) if name else -1 for name in listing.label])
    labels = {name: holdout.budget(fraction, 0.0, n)[0] for name, n in holdout.counts(listing, side).items()}
    given = holdout.given(listing, side, seed, labels)
    parts = [given, ((side == LABELLED) | (side == POOL)) & ~given, side == TEST]
    rows = np.concatenate([np.flatnonzero(part) for part in parts])
    ends = np.cumsum([part.sum() for part in parts])
    section, inside = Propagate(), np.arange(ends[1])
    axes = [Axes(values[rows[inside]], section.components) for values in sources]
    points = together([one.of(values[rows]) for one, values in zip(axes, sources, strict=True)])
    graph = Likeness(section, points[inside])
    told = graph.propagated(np.arange(ends[0]), label[given], len(listing.classes))
    said = np.concatenate([told, graph.outside(points[ends[1] :], told)]).argmax(axis=1)
    pool, unseen = (
        float(balanced_accuracy_score(truth[truth >= 0], guess[truth >= 0]))
        for truth, guess in ((label[rows][a:b], said[a:b]) for a, b in pairwise(ends))
    )
    return pool, unseen


def _style(desk: desks.Desk, weights: Path, kept: Path) -> np.ndarray:
    if not kept.is_file():
        network, normalised = encoder(weights)
        with torch.inference_mode():
            parts = [styled(network, normalised(batch))[1].numpy() for _, batch in batches(desk.listing, desk.px)]
        style, buffer = np.concatenate(parts), io.BytesIO()
        middle, spread = units(style)
        np.save(buffer, ((style - middle) / spread).astype(np.float32))
        write_bytes(kept, buffer.getvalue())
    found: np.ndarray = np.load(kept)
    return found


if __name__ == "__main__":
    sys.exit(in_words(main))
