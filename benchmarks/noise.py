"""What noise costs a patch: our way through albumentations' operations beside `A.Compose` of the same ones.

    python -m benchmarks.noise [--size-px 96]

Both give the same pixels (tests/data/augment/test_composition.py). Prints microseconds of the processor a patch, one
thread, the median of seven runs taken in turns with its quartiles, and the ratio of the medians; stain jitter, which is
ours alone, is in neither side. Below, the median of each operation of `strong` by itself, drawn with its chance.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A  # noqa: N812
import cv2
import numpy as np

from data.augment import pipeline
from data.augment.composition import Composition
from data.augment.noise import PRESETS, Noise
from data.augment.stain import jitter
from data.readers.synthetic import Synthetic

RUNS, PATCHES, DRAWS = 7, 20, 100
Draw = Callable[[np.ndarray, np.random.Generator, random.Random], np.ndarray]


def composed(noise: Noise, size_px: int) -> Draw:
    """`A.Compose` of albumentations' own operations."""
    ours = pipeline.Affine, pipeline.Cutout, pipeline.Turn
    pipeline.Affine, pipeline.Cutout, pipeline.Turn = A.Affine, A.CoarseDropout, A.RandomRotate90
    long = A.Compose(pipeline._transforms(noise, True, size_px))
    pipeline.Affine, pipeline.Cutout, pipeline.Turn = ours

    def draw(image: np.ndarray, rng: np.random.Generator, chance: random.Random) -> np.ndarray:
        long.set_random_state(rng, chance)
        return long(image=image)["image"]

    return draw


def operations(noise: Noise, size_px: int) -> dict[str, Draw]:
    """Each of ours by itself, and stain jitter."""
    alone: dict[str, Draw] = {"stain": lambda image, rng, chance: jitter(image, noise.stain, rng)}
    return alone | {type(step).__name__: Composition([step]) for step in pipeline._transforms(noise, True, size_px)}


def microseconds(draw: Draw, some: list[np.ndarray], first: int) -> float:
    """A patch, over DRAWS of them; the same draws for the same `first`."""
    pairs = [(np.random.default_rng(seed), random.Random(seed)) for seed in range(first, first + DRAWS)]
    began = time.process_time()
    for i, pair in enumerate(pairs):
        draw(some[i % len(some)], *pair)
    return (time.process_time() - began) / DRAWS * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-px", type=int, default=96)
    size_px = parser.parse_args().size_px
    cv2.setNumThreads(1)
    source = Synthetic(patients=4, patches_per_patient=PATCHES // 4, size_px=size_px)
    some = [np.asarray(source.content(record)) for record in source.records()]
    print("| noise | `A.Compose`, us a patch | ours, us a patch | ratio |\n|---|---|---|---|")
    for name in ("weak", "strong"):
        noise = Noise(**PRESETS[name])
        sides: list[Draw] = [composed(noise, size_px), Composition(pipeline._transforms(noise, True, size_px))]
        runs = [[microseconds(draw, some, run * DRAWS) for draw in sides] for run in range(RUNS + 1)][1:]
        each = [statistics.quantiles(side, n=4, method="inclusive") for side in zip(*runs, strict=True)]
        cells = [f"{middle:,.0f} ({low:,.0f}-{high:,.0f})" for low, middle, high in each]
        print(f"| {name} | {' | '.join(cells)} | {each[0][1] / each[1][1]:.2f} |")
    print("\n| operation of strong | us a patch |\n|---|---|")
    for name, draw in operations(Noise(**PRESETS["strong"]), size_px).items():
        print(f"| {name} | {statistics.median(microseconds(draw, some, run * DRAWS) for run in range(RUNS)):,.0f} |")


if __name__ == "__main__":
    main()
