"""How fast a patch is restained: ours beside albumentations' HEStain, and Macenko normalisation as training reads it.

    python -m benchmarks.stain

Prints ms a patch of 224 px, one thread, each the median of seven runs taken in turns, and how often ours goes into
HEStain. What is drawn is alike: both unmix, scale and shift two dyes, and mix again.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A  # noqa: N812
import cv2
import numpy as np

from data.augment.macenko import fit, normalised, stained_pixels, transfer
from data.augment.stain import jitter
from data.readers.synthetic import Synthetic

RUNS, PATCHES, SIZE_PX = 7, 20, 224


def patches() -> list[np.ndarray]:
    """Drawn tissue, (S, S, 3) uint8."""
    source = Synthetic(patients=4, patches_per_patient=5, size_px=SIZE_PX)
    return [np.asarray(source.content(record)) for record in source.records()]


def milliseconds(work: Callable[[np.ndarray], object], some: list[np.ndarray]) -> float:
    """A patch, over one pass."""
    started = time.perf_counter()
    for patch in some:
        work(patch)
    return (time.perf_counter() - started) / len(some) * 1000


def main() -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    some = patches()
    assert len(some) == PATCHES
    rng = np.random.default_rng(0)
    theirs = A.Compose([A.HEStain(p=1)], seed=0)
    stains = [fit([stained_pixels(patch)]) for patch in some]
    known = [one for one in stains if one is not None]
    matrix = transfer(known[0], known[-1])
    works: dict[str, Callable[[np.ndarray], object]] = {
        "ours, jitter": lambda patch: jitter(patch, 0.2, rng),
        "albumentations, HEStain": lambda patch: theirs(image=patch)["image"],
        "ours, Macenko by the slide": lambda patch: normalised(patch, matrix),
        "ours, Macenko fit of a patch": lambda patch: fit([stained_pixels(patch)]),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for run in range(RUNS + 1):
        for name, work in works.items():
            spent = milliseconds(work, some)
            if run:  # the first one warms up
                taken[name].append(spent)
    middle = {name: statistics.median(times) for name, times in taken.items()}
    for name, spent in middle.items():
        print(f"{name:<30}{spent:>8.3f} ms{1000 / spent:>10,.0f} patches/s")
    print(f"ratio {middle['albumentations, HEStain'] / middle['ours, jitter']:.1f}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
