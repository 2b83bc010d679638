"""scikit-learn's side: features of the frozen network, and self-training of a linear classifier on them.

    python -m benchmarks.beside_others.frozen FOLDER NETWORK INTO

Labels of training and validation both train it, as in benchmarks/label_efficiency; its strength is chosen by
cross-validation over them. INTO gets what it says of the test patches, (N,) codes in the order of the manifest.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.beside_others.judge import images, network_of
from benchmarks.beside_others.patches import read
from benchmarks.label_efficiency.probes import THRESHOLD, chosen_strength, regression, scaled_by


def features(folder: Path, network: str) -> np.ndarray:
    """(N, D) of every patch of the manifest, clean, one view each."""
    import torch

    model, mean, std = network_of(network, folder / "weights.pth")
    model.reset_classifier(0)
    rows = read(folder)
    with torch.inference_mode():
        found = [model.eval()(batch).numpy() for batch in images(folder, rows.paths, mean, std)]
    return np.concatenate(found)


def said(folder: Path, network: str) -> np.ndarray:
    """(N,) codes of the test patches."""
    from sklearn.semi_supervised import SelfTrainingClassifier

    rows, found = read(folder), features(folder, network)
    given = np.concatenate([rows.of("train"), rows.of("validation")])
    seen = np.concatenate([given, rows.of("pool")])
    scaled = scaled_by(found, seen)
    strength = chosen_strength(scaled[given], rows.label[given], given)
    model = SelfTrainingClassifier(regression(strength), threshold=THRESHOLD, max_iter=10)
    model.fit(scaled[seen], rows.label[seen])
    answer: np.ndarray = model.predict(scaled[rows.of("test")])
    return answer


if __name__ == "__main__":
    np.save(sys.argv[3], said(Path(sys.argv[1]), sys.argv[2]))
