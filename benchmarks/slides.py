"""How fast patches come out of a slide, beside the bare reader and beside what two known tools do.

    python -m benchmarks.slides                      # a drawn slide of 8192 px, tiled JPEG; some minutes
    python -m benchmarks.slides my.svs other.ndpi    # any slide, at its own resolution
    python -m benchmarks.slides --side 2048 --runs 1 # a quick look

On the same slide and grid, in turns, in one run: medians of `--runs` repeats of
  bare      a loop of OpenSlide's read_region at the right level: nothing else can be faster through OpenSlide
  ours/os   tiling, reading and resampling through OpenSlide (the fast route switched off)
  ours      the same as `prepare` does it: the slide's own JPEG tiles where it allows
  CLAM      as its users run it: coordinates tested against the contour and written to HDF5, then read one by one:
            read_region(...).convert("RGB") as an array (create_patches_fp.py, Whole_Slide_Bag_FP); no resampling
  TRIDENT   the same with its patcher: squares intersected with the tissue's shape, read_region(...).convert("RGB"),
            np.array, cv2.resize to the target size (WSIPatcher.get_tile_xy)
Both tools go column by column. They are not installed: the lines above are written anew after their published
sources, without a DataLoader, whose hand-over between processes would only cost them. Quality columns, encoding and
the store are left out of all of these; the last line says what they cost.
Per core: patches a second of CPU time, one thread. All cores: patches a second on the clock.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np
import openslide
import shapely

from data.in_order import in_order
from data.preparation import Unit
from data.slides.grid import lay
from data.slides.preparation import Slides
from data.synthetic.slides import SlideSpec, write_slide
from data.wsi.handles import Handles
from data.wsi.plan import ReadPlan, plan_reading
from data.wsi.reading import SlideReader
from data.wsi.slide import SlideInfo, inspect

MOST_PATCHES = 1500
GRIDS = {
    "aligned": (256, 1.0, 0),
    "unaligned": (224, 1.0, 0),
    "overlapping": (224, 1.0, 112),
    "resampled": (224, 1.55, 0),
}


@dataclass(frozen=True)
class Task:
    """One slide under one grid."""

    info: SlideInfo
    plan: ReadPlan
    size_px: int
    overlap_px: int
    threads: int = 1

    def places(self) -> list[tuple[int, int]]:
        """The grid, the whole slide being tissue."""
        mask = np.ones((64, 64), bool)
        down = (self.info.size_px[0] / 64, self.info.size_px[1] / 64)
        found = lay(
            self.info.size_px, self.info.mpp, self.plan.mpp, self.size_px, self.size_px - self.overlap_px, mask, down
        )
        return [(int(x), int(y)) for x, y in found.xy_px[:MOST_PATCHES]]


def bare(task: Task) -> int:
    slide, plan, places = openslide.OpenSlide(task.info.path), task.plan, task.places()
    for place in places:
        slide.read_region(place, plan.level, (plan.read_px, plan.read_px))
    return len(places)


def bare_threads(task: Task) -> int:
    slide, plan, places = openslide.OpenSlide(task.info.path), task.plan, task.places()
    size = (plan.read_px, plan.read_px)
    for _ in in_order(places, lambda place: slide.read_region(place, plan.level, size) and None, task.threads):
        pass
    return len(places)


def ours(task: Task, fast: bool = True) -> int:
    places = task.places()
    reader = SlideReader(task.info.path, task.plan, Handles(), fast)
    for _ in in_order(places, lambda place: reader.patch(*place), task.threads):
        pass
    return len(places)


def ours_through_openslide(task: Task) -> int:
    return ours(task, fast=False)


def clam(task: Task) -> int:
    plan, (width, height) = task.plan, task.info.size_px
    contour = np.array([[[0, 0]], [[width, 0]], [[width, height]], [[0, height]]], np.int32)
    side = round(plan.side_px)

    def inside(x: int, y: int) -> bool:
        centre, quarter = (x + side // 2, y + side // 2), side // 4
        corners = [(centre[0] + dx, centre[1] + dy) for dx in (-quarter, quarter) for dy in (-quarter, quarter)]
        return any(cv2.pointPolygonTest(contour, (float(a), float(b)), False) >= 0 for a, b in corners)

    coords = np.array(sorted(place for place in task.places() if inside(*place)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coords.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("coords", data=coords, maxshape=(None, 2), chunks=(1, 2))
        slide = openslide.OpenSlide(task.info.path)
        with h5py.File(path) as file:
            for i in range(len(coords)):
                x, y = file["coords"][i]
                image = slide.read_region((int(x), int(y)), plan.level, (plan.read_px, plan.read_px)).convert("RGB")
                np.asarray(image)
    return len(coords)


def trident(task: Task) -> int:
    plan, (width, height) = task.plan, task.info.size_px
    tissue, side = shapely.box(0, 0, width, height), plan.side_px
    squares = [(place, shapely.box(*place, place[0] + side, place[1] + side)) for place in task.places()]
    coords = np.array(sorted(place for place, square in squares if square.intersects(tissue)))
    slide = openslide.OpenSlide(task.info.path)
    for x, y in coords:
        image = slide.read_region((int(x), int(y)), plan.level, (plan.read_px, plan.read_px)).convert("RGB")
        cv2.resize(np.array(image), (task.size_px, task.size_px))
    return len(coords)


def whole_unit(task: Task) -> int:
    """All that `prepare` does with a slide."""
    config = Slides.model_validate(
        {"path": task.info.path, "mpp": task.plan.mpp, "size_px": task.size_px, "grid": {"overlap_px": task.overlap_px},
         "tissue": {"everything": True}, "missing_mpp": task.info.mpp}
    )  # fmt: skip
    (unit,) = config.units(b"")
    assert isinstance(unit, Unit)
    with tempfile.TemporaryDirectory() as folder:
        return int(config.prepare(unit, Path(folder), task.threads, lambda done, total: None, b"")["patches"])


ONE_CORE: dict[str, Callable[[Task], int]] = {
    "bare": bare, "ours/os": ours_through_openslide, "ours": ours, "CLAM": clam, "TRIDENT": trident,
}  # fmt: skip
ALL_CORES: dict[str, Callable[[Task], int]] = {"bare": bare_threads, "ours/os": ours_through_openslide, "ours": ours}


def rates(contestants: dict[str, Callable[[Task], int]], task: Task, runs: int, clock: Callable[[], float]) -> dict:
    """name -> patches a second, one a run; in turns, after one run that only warms the file's pages."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for run in range(runs + 1):
        for name, contestant in contestants.items():
            began = clock()
            n = contestant(task)
            if run:
                found[name].append(n / (clock() - began))
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    bare_rates = found["bare"]
    cells = [
        f"{name} {statistics.median(rate):,.0f} "
        f"(x{statistics.median(a / b for a, b in zip(rate, bare_rates, strict=True)):.2f})"
        for name, rate in found.items()
    ]
    print(f"  {title:<10}", "   ".join(cells), flush=True)


def compare(path: Path, runs: int) -> None:
    info = inspect(path, missing_mpp=0.25)
    cores = len(os.sched_getaffinity(0))
    print(f"{path.name}: {info.vendor}, {info.size_px[0]:,} x {info.size_px[1]:,} px at {info.mpp:g} um/px")
    for name, (size_px, factor, overlap_px) in GRIDS.items():
        task = Task(info, plan_reading(info, info.mpp * factor, size_px), size_px, overlap_px)
        scale = f", x{task.plan.scale:g} of level {task.plan.level}" if task.plan.scale != 1 else ""
        print(f"{name}: {len(task.places()):,} patches of {size_px} px every {size_px - overlap_px}{scale}")
        show("per core", rates(ONE_CORE, task, runs, time.process_time))
        several = Task(info, task.plan, size_px, overlap_px, threads=cores)
        show(f"{cores} cores", rates(ALL_CORES, several, runs, time.perf_counter))
    everything = Task(info, plan_reading(info, info.mpp, 224), 224, 0, cores)
    done = rates({"unit": whole_unit}, everything, max(1, runs // 2), time.perf_counter)["unit"]
    print(f"whole unit, measured, encoded, stored, drawn, {cores} cores: {statistics.median(done):,.0f} patches/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", nargs="*", type=Path)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    if given.slides:
        for path in given.slides:
            compare(path, given.runs)
        return
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn.tif"
        write_slide(drawn, SlideSpec(side_px=given.side))
        compare(drawn, given.runs)


if __name__ == "__main__":
    main()
