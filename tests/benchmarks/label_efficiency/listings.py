"""A listing made up: patients, classes and copies of pixels as a test wants them."""

from pathlib import Path

import numpy as np

from benchmarks.label_efficiency.listing import SOURCE, Listing
from data.patches.ids import patch_id


def listing(patients: int = 30, each: int = 40, unlabelled: int = 0, seed: int = 0) -> Listing:
    rng = np.random.default_rng(seed)
    n = patients * each
    key = np.array([f"{i:05d}.png" for i in range(n)])
    ids = np.array([patch_id(SOURCE, k) for k in key], np.uint64)
    order = np.argsort(ids)
    patient = np.array([f"{i % patients}" for i in range(n)])
    label = np.array(["a", "b", "c"])[rng.integers(0, 3, n)].astype("<U8")
    label[:unlabelled] = ""
    split = np.where(label == "", "pool", "")
    pixels = np.stack([np.arange(n), np.arange(n)], axis=1).astype(np.uint64)
    none = np.full(n, "")
    columns = (ids, pixels, key, label, patient, none, split)
    return Listing(Path("/nowhere"), "rgb8", 32, *(values[order] for values in columns))
