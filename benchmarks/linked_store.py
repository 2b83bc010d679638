"""The store as many files: patches that stay in 10^5 stores of one slide each, beside the same patches in one file.

    python -m benchmarks.linked_store                    # some minutes, 6 GB of temporary disk
    python -m benchmarks.linked_store --files 20000

The files are copies of one small store with pixels of their own. Prints the most handles and memory maps that this
process had while it read, and its own memory; then patches/s (one thread, warm cache), the median of five runs taken in
turns with the one file, and the median of their ratios.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.store import RUNS, own_memory, rate
from data.keys import generator
from data.patches.link import Link
from data.patches.record import Record
from data.patches.reference import Reference
from data.pixels.decode import pixel_digest
from data.store.patch_store import PatchStore
from data.store.writer import StoreWriter, writing_store

SIZE_PX, EACH, READS, LOOK_EVERY = 32, 4, 20_000, 200


def patches(number: int) -> np.ndarray:
    """(EACH, S, S, 3) uint8 of one file."""
    return generator(number).integers(0, 256, (EACH, SIZE_PX, SIZE_PX, 3), np.uint8)


def _add(writer: StoreWriter, number: int, row: int, content: np.ndarray | Reference, pixels: np.ndarray) -> None:
    record = Record(f"{number:06d}/x{row}", "", f"patient{number // 3}", f"slide{number}")
    patch_id = (number * EACH + row) * 0x9E3779B97F4A7C15 % 2**64
    writer.add(patch_id, record, "main", "split", pixel_digest(pixels, "rgb8"), content)


def first_unit(folder: Path) -> tuple[bytearray, list[Link]]:
    """A file that every other is like but for its pixels, and where its patches lie."""
    with writing_store(folder / "first.h5", "rgb8", SIZE_PX) as writer:
        for row, pixels in enumerate(patches(0)):
            _add(writer, 0, row, pixels, pixels)
    store = PatchStore(folder / "first.h5")
    places = [Link(**json.loads(store.reference(row).payload)["store"]) for row in range(EACH)]
    return bytearray(store.path.read_bytes()), places


def stores(folder: Path, files: int) -> tuple[PatchStore, PatchStore]:
    """Write the files, a store that leaves their patches there, and one that holds the same patches."""
    content, places = first_unit(folder)
    one, other = folder / "linked.h5", folder / "kept.h5"
    with writing_store(one, "rgb8", SIZE_PX) as linked, writing_store(other, "rgb8", SIZE_PX) as kept:
        for number in range(files):
            drawn = patches(number)
            path = folder / "units" / f"{number:06d}" / "patches.h5"
            path.parent.mkdir(parents=True)
            content[places[0].start : places[-1].stop] = drawn.tobytes()
            path.write_bytes(content)
            for row, pixels in enumerate(drawn):
                _add(linked, number, row, Reference(places[row]._replace(path=str(path)).payload()), pixels)
                _add(kept, number, row, pixels, pixels)
    return PatchStore(one), PatchStore(other)


def most_open(read: Callable[[int], np.ndarray], rows: list[int]) -> tuple[int, int]:
    """The most handles, and the most memory maps, of this process while it reads these rows."""
    handles, maps = 0, 0
    for start in range(0, len(rows), LOOK_EVERY):
        rate(read, rows[start : start + LOOK_EVERY])
        handles = max(handles, sum(1 for _ in Path("/proc/self/fd").iterdir()))
        maps = max(maps, Path("/proc/self/maps").read_text().count("\n"))
    return handles, maps


def run(files: int) -> None:
    """Print everything."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        linked, kept = stores(Path(folder), files)
        n = len(linked)
        sizes = [store.path.stat().st_size / n for store in (linked, kept)]
        print(f"{files:,} files, {n:,} patches of {SIZE_PX} px, written in {time.perf_counter() - started:.0f} s; "
              f"bytes a patch: linked {sizes[0]:.0f}, kept {sizes[1]:.0f}")  # fmt: skip
        rng = np.random.default_rng(1)
        orders = {"random": rng.integers(0, n, READS).tolist(), "unit by unit": list(range(min(n, READS)))}
        assert all(np.array_equal(linked.pixels(row), kept.pixels(row)) for row in orders["random"][:100])
        before = own_memory()["written"]
        handles, maps = most_open(linked.pixels, orders["random"])
        print(f"{READS:,} random patches: at most {handles} handles and {maps} maps; own memory "
              f"{before / 1024:.0f} MB before, {own_memory()['written'] / 1024:.0f} MB after")  # fmt: skip
        print(f"{'order':<14}{'linked, patches/s':>20}{'one file, patches/s':>22}{'ratio':>8}")
        for order, rows in orders.items():
            pairs = [(rate(linked.pixels, rows), rate(kept.pixels, rows)) for _ in range(RUNS + 1)][1:]
            many, one = (statistics.median(rates) for rates in zip(*pairs, strict=True))
            ratio = statistics.median(many / one for many, one in pairs)
            print(f"{order:<14}{many:>20,.0f}{one:>22,.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    run(parser.parse_args().files)
