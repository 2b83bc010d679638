"""Would an average of a chain's models be better than its last one? Weights averaged, and predictions averaged.

    python -m benchmarks.averages RUN [RUN ...] [--most 1200]

Of finished runs of benchmarks/label_efficiency, or of any whose pool has hidden truth and whose splits hold a test:
the first teacher T and the students S0, S1, ... of its rounds, alone; then averages of their weights (model soups,
Wortsman et al., ICML 2022; between a model and the one it came from, WiSE-FT, CVPR 2022) and of their probabilities.
Prints balanced accuracy and calibration error on the pool and on the test split, on at most so many patches of each.
A store that was dropped is made again, in a temporary directory.
"""

import argparse
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from data.images import Images
from data.ingest import ingest
from data.splits.written import load_audit, load_splits
from data.stain_normaliser import load_normaliser
from data.store.patch_store import PatchStore
from pipeline.config.reading import load_config
from pipeline.directory.layout import Layout
from pipeline.plan import at
from stages.job import Hardware
from stages.measures import quality
from stages.networks.create import load_network
from stages.predict.scoring import score_all

COLUMNS = ("pool", "test")
BATCH = 128


class Judge:
    """What a network says of the same patches, and how right that is."""

    def __init__(self, images: Images, ids: dict[str, np.ndarray], label: dict[str, np.ndarray], views: int) -> None:
        self.images, self.ids, self.label, self.views = images, ids, label, views

    def said(self, network: torch.nn.Module, mean: list[float], std: list[float]) -> dict[str, np.ndarray]:
        """Probabilities (N, C) by column."""
        flags = {"views": self.views, "batch_size": BATCH, "hardware": Hardware(device="cpu", threads=1)}
        return {
            column: np.exp(score_all(network, mean, std, self.images, ids, **flags)) for column, ids in self.ids.items()
        }

    def row(self, name: str, probs: dict[str, np.ndarray]) -> str:
        """A row of the table."""
        cells = [name]
        for column, p in probs.items():
            label, guess = self.label[column], p.argmax(axis=1)
            counts = quality.confusion(label, guess, p.shape[1])
            error = quality.expected_calibration_error(p.max(axis=1), guess == label)
            cells += [f"{100 * quality.balanced_accuracy(counts):.1f}", f"{error:.3f}"]
        return f"| {' | '.join(cells)} |"


def models(run: Path, rounds: int) -> dict[str, Path]:
    """The first teacher and every student of a run, by the names they have in the table."""
    places = {"T": run / at(0, "teacher")} | {f"S{r}": run / at(r, "student") for r in range(rounds)}
    return {name: place for name, place in places.items() if (place / "model.safetensors").is_file()}


def judge_of(run: Path, store: PatchStore, most: int, views: int) -> Judge:
    """At most so many patches of each column, the same for every model."""
    splits, audit = load_splits(run / "data" / "splits"), load_audit(run / "data" / "splits")
    rng = np.random.default_rng(0)
    ids, label = {}, {}
    for column, every, truth in zip(
        COLUMNS, (audit.ids, splits.test.ids), (audit.label, splits.test.label), strict=True
    ):
        some = np.sort(rng.choice(len(every), min(most, len(every)), replace=False))
        ids[column], label[column] = every[some], truth[some].astype(np.int64)
    return Judge(Images(store, load_normaliser(run / "data" / "splits", store)), ids, label, views)


def compared(run: Path, store: PatchStore, most: int) -> None:
    """Print one run's table."""
    config = load_config(run / "config.yaml")
    judge = judge_of(run, store, most, config.predict.views)
    loaded = {name: load_network(place) for name, place in models(run, config.rounds).items()}
    (network, card), *_ = loaded.values()
    states = {
        name: {key: value.clone() for key, value in one.state_dict().items()} for name, (one, _) in loaded.items()
    }
    print("| model | pool | ECE | test | ECE |\n|---|---|---|---|---|", flush=True)
    probs = {}
    for name, state in states.items():
        network.load_state_dict(state)
        probs[name] = judge.said(network, card.mean, card.std)
        print(judge.row(name, probs[name]), flush=True)
    for count in range(2, len(states) + 1):
        for names in combinations(states, count):
            mean = {key: torch.stack([states[name][key].float() for name in names]).mean(0) for key in states[names[0]]}
            network.load_state_dict(mean)
            shown = " + ".join(names)
            print(judge.row(f"weights of {shown}", judge.said(network, card.mean, card.std)), flush=True)
            both = {column: np.mean([probs[name][column] for name in names], axis=0) for column in COLUMNS}
            print(judge.row(f"predictions of {shown}", both), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--most", type=int, default=1200, help="patches of a column (1200)")
    args = parser.parse_args()
    for run in args.runs:
        print(f"\n{run}", flush=True)
        kept = Layout(run).place("data/store") / "patches.h5"
        with tempfile.TemporaryDirectory() as folder:
            if not kept.is_file():
                kept = Path(folder) / "patches.h5"
                ingest(load_config(run / "config.yaml").data, kept, Path(folder) / "quarantine.csv")
            compared(run, PatchStore(kept), args.most)


if __name__ == "__main__":
    main()
