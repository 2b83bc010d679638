"""How hard the embedded default is: colour alone, a few labels, all labels, on patients never seen in training.

    python -m benchmarks.synthetic_difficulty --seeds 0 1 2

Prints one row a seed: test accuracy of a linear classifier on colour histograms with all labels, then of one small
network trained from scratch with 20 labels a class and with all of them. About two minutes a seed on one core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from data.keys import generator
from data.readers.synthetic import Synthetic


@dataclass(frozen=True)
class Patches:
    """Drawn patches: pixels (N, S, S, 3) uint8, label (N,) and patient (N,) int."""

    pixels: np.ndarray
    label: np.ndarray
    patient: np.ndarray


def draw_patches(seed: int, patients: int, patches_per_patient: int) -> Patches:
    """Every patch of one synthetic source."""
    reader = Synthetic(seed=seed, patients=patients, patches_per_patient=patches_per_patient)
    records = list(reader.records())
    names = list(reader.classes)
    return Patches(
        np.stack([reader.content(record) for record in records]),
        np.array([names.index(record.label) for record in records]),
        np.array([int(record.patient[1:]) for record in records]),
    )


def by_patient(patches: Patches, test_patients: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) masks of train and test; no patient is in both."""
    order = generator("difficulty-split").permutation(patches.patient.max() + 1)
    test = np.isin(patches.patient, order[:test_patients])
    return ~test, test


def colour_histograms(pixels: np.ndarray) -> np.ndarray:
    """(N, 112) float32: 16 bins of each channel and 4 x 4 x 4 joint bins, square roots of shares."""
    rows = []
    for patch in pixels:
        colours = patch.reshape(-1, 3).astype(np.int64)
        bins = [np.bincount(colours[:, channel] >> 4, minlength=16) for channel in range(3)]
        joint = (colours >> 6) @ np.array([16, 4, 1])
        rows.append(np.concatenate([*bins, np.bincount(joint, minlength=64)]) / len(colours))
    return np.sqrt(np.array(rows, np.float32))


def linear_on_colour(features: np.ndarray, label: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Test accuracy of logistic regression, the best of three strengths of shrinkage (chosen in its favour)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = (make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500)) for c in (0.003, 0.03, 0.3))
    return max(float(model.fit(features[train], label[train]).score(features[test], label[test])) for model in models)


def network_accuracy(
    patches: Patches, chosen: np.ndarray, test: np.ndarray, steps: int, backbone: str = "test_resnet"
) -> float:
    """Test accuracy of a small network trained from scratch on the patches at rows `chosen`."""
    import timm
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    pixels = torch.from_numpy(patches.pixels).permute(0, 3, 1, 2).float() / 255
    label = torch.from_numpy(patches.label)
    rows = torch.from_numpy(np.asarray(chosen))
    model = timm.create_model(backbone, num_classes=int(label.max()) + 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps, pct_start=0.15)
    for _ in range(steps):
        batch = rows[torch.randint(len(rows), (64,), generator=rng)]
        seen = _restained(_turned(pixels[batch], rng), rng)
        loss = functional.cross_entropy(model(_standard(seen)), label[batch])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    model.eval()
    held = torch.from_numpy(np.flatnonzero(test))
    with torch.no_grad():
        guess = torch.cat([model(_standard(pixels[part])).argmax(1) for part in held.split(256)])
    return float((guess == label[held]).float().mean())


def _standard(images):
    return (images - 0.6) / 0.2


def _turned(images, rng):
    """Quarter turns of the batch, flips of each image."""
    import torch

    images = torch.rot90(images, int(torch.randint(4, (1,), generator=rng)), (2, 3))
    for dims in ((2,), (3,)):
        flip = torch.rand(len(images), 1, 1, 1, generator=rng) < 0.5
        images = torch.where(flip, images.flip(dims), images)
    return images


def _restained(images, rng, spread: float = 0.2):
    """Optical densities of each image mixed by a matrix near one."""
    import torch

    density = -torch.log((images * 255 + 1) / 256)
    mix = torch.eye(3) + spread * (2 * torch.rand(len(images), 3, 3, generator=rng) - 1)
    return torch.exp(-torch.einsum("nchw,ndc->ndhw", density, mix)).clamp(0, 1)


def few_of_each(label: np.ndarray, train: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of `count` training patches a class."""
    rng = generator("difficulty-few", seed)
    return np.concatenate([rng.permutation(np.flatnonzero(train & (label == c)))[:count] for c in np.unique(label)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--few", type=int, default=20, help="labels a class of the column `few`")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    print("seed   ms/patch   colour, linear   few labels   all labels")
    for seed in options.seeds:
        begun = time.process_time()
        patches = draw_patches(seed, patients=30, patches_per_patient=200)
        each = (time.process_time() - begun) / len(patches.label) * 1000
        train, test = by_patient(patches, test_patients=7)
        colour = linear_on_colour(colour_histograms(patches.pixels), patches.label, train, test)
        few = network_accuracy(patches, few_of_each(patches.label, train, options.few, seed), test, steps=200)
        full = network_accuracy(patches, np.flatnonzero(train), test, steps=800)
        print(f"{seed:4d}   {each:8.2f}   {colour:14.3f}   {few:10.3f}   {full:10.3f}", flush=True)


if __name__ == "__main__":
    main()
