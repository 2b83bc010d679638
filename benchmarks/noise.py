"""What noise costs a patch: our way through albumentations' operations beside `A.Compose` of the same ones.

    python -m benchmarks.noise [--size-px 96] [--device cpu | cuda]

Both give the same pixels but for grain, of which ours are other numbers, and large patches that are moved, to a step of
grey (tests/data/augment/test_composition.py, test_warp.py). Prints microseconds of the processor a patch, one
thread, the median of seven runs taken in turns with its quartiles, and the ratio of the medians; stain jitter, which is
ours alone, is in neither side. Below, the median of each operation of `strong` by itself, drawn with its chance, and
all of `strong`.

Then `--noise-on loader` beside `--noise-on device`, stain and all, in turns: what either costs the loader, the ratio,
and what the device takes, in batches of 64, by the clock where it is a GPU (the batch's way there included), else of
the processor, one thread.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A  # noqa: N812
import cv2
import numpy as np
import torch

from data.augment import pipeline
from data.augment.composition import Composition
from data.augment.noise import PRESETS, Noise
from data.augment.stain import jitter
from data.readers.synthetic import Synthetic
from stages.loading import to_tensor
from stages.train.on_device import Group, disturbed, groups

RUNS, PATCHES, DRAWS, BATCH = 7, 20, 100, 64
Draw = Callable[[np.ndarray, np.random.Generator, random.Random], np.ndarray]


def composed(noise: Noise, size_px: int, eight_bit: bool = True) -> Draw:
    """`A.Compose` of albumentations' own operations. eight_bit: for patches of uint8, not of float32."""
    theirs = {
        "Affine": A.Affine,
        "Cutout": A.CoarseDropout,
        "Grain": A.GaussNoise,
        "Light": A.RandomBrightnessContrast,
        "Turn": A.RandomRotate90,
    }
    ours = {name: getattr(pipeline, name) for name in theirs}
    vars(pipeline).update(theirs)
    long = A.Compose(pipeline._transforms(noise, eight_bit, size_px))
    vars(pipeline).update(ours)

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


def in_both_places(noise: Noise, some: list[np.ndarray], first: int, device: torch.device) -> tuple[float, ...]:
    """Microseconds a patch: all of it in the loader; the loader's part; the device's part."""
    drawer, seeds = pipeline.NoiseDrawer(noise, 3), range(first, first + BATCH)
    each = [some[seed % len(some)] for seed in seeds]
    began = time.process_time()
    to_tensor([drawer(patch, seed) for patch, seed in zip(each, seeds, strict=True)])
    all_of_it = time.process_time() - began
    began = time.process_time()
    begun = [drawer.begun(patch, seed) for patch, seed in zip(each, seeds, strict=True)]
    image, drawn = to_tensor([patch for patch, _ in begun]), groups([left for _, left in begun])
    part = time.process_time() - began
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    began = clock()
    drawn = {name: Group(rows.to(device), values.to(device)) for name, (rows, values) in drawn.items()}
    float(disturbed(image.to(device), drawn)[0, 0, 0, 0])  # waits for it
    return tuple(spent / BATCH * 1e6 for spent in (all_of_it, part, clock() - began))


def spread(runs: Sequence[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(runs, n=4, method="inclusive")
    return f"{middle:,.0f} ({low:,.0f}-{high:,.0f})"


def print_both_places(some: list[np.ndarray], device: torch.device) -> None:
    policies = {name: Noise(**PRESETS[name]) for name in ("weak", "strong")}
    policies["strong, jpeg: 0"] = Noise(**(PRESETS["strong"] | {"jpeg": 0.0}))
    print(f"\n| noise | loader alone, us a patch | its part beside {device} | ratio | {device}, us a patch |")
    print("|---|---|---|---|---|")
    for name, noise in policies.items():
        runs = [in_both_places(noise, some, run * BATCH, device) for run in range(RUNS + 1)][1:]
        alone, part, there = zip(*runs, strict=True)
        ratio = statistics.median(alone) / statistics.median(part)
        print(f"| {name} | {spread(alone)} | {spread(part)} | {ratio:.2f} | {spread(there)} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-px", type=int, default=96)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    size_px = args.size_px
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    source = Synthetic(patients=4, patches_per_patient=PATCHES // 4, size_px=size_px)
    some = [np.asarray(source.content(record)) for record in source.records()]
    print("| noise | `A.Compose`, us a patch | ours, us a patch | ratio |\n|---|---|---|---|")
    for name in ("weak", "strong"):
        noise = Noise(**PRESETS[name])
        sides: list[Draw] = [composed(noise, size_px), Composition(pipeline._transforms(noise, True, size_px))]
        runs = [[microseconds(draw, some, run * DRAWS) for draw in sides] for run in range(RUNS + 1)][1:]
        long, short = zip(*runs, strict=True)
        ratio = statistics.median(long) / statistics.median(short)
        print(f"| {name} | {spread(long)} | {spread(short)} | {ratio:.2f} |")
    print("\n| operation of strong | us a patch |\n|---|---|")
    for name, draw in operations(Noise(**PRESETS["strong"]), size_px).items():
        print(f"| {name} | {statistics.median(microseconds(draw, some, run * DRAWS) for run in range(RUNS)):,.0f} |")
    whole = pipeline.NoiseDrawer(Noise(**PRESETS["strong"]), 3)

    def drawn(image: np.ndarray, rng: np.random.Generator, _: random.Random) -> np.ndarray:
        return whole(image, int(rng.integers(2**63)))

    runs = [microseconds(drawn, some, run * DRAWS) for run in range(RUNS)]
    print(f"\nstrong as a training draws it, seeds and stain in it: {spread(runs)} us a patch")
    print(f"{1e6 / statistics.median(runs):,.0f} patches/s")
    print_both_places(some, torch.device(args.device))


if __name__ == "__main__":
    main()
