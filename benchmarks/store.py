"""How fast patches come out of the store, beside the plainest way to read the same bytes.

    python -m benchmarks.store            # some minutes, 1 GB of temporary disk

Prints patches/s for random access (one process, warm cache), each the median of five runs taken in turns with its
baseline, and their ratio; then opening time of a store of a million patches, and a loader worker's own memory over an
epoch of all of them in random order.
"""

import argparse
import io
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from data.patches.record import Record
from data.store.patch_store import PatchStore
from data.store.writer import writing_store

RUNS = 5


def _patch(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth colours with some noise: compresses about as real tissue does."""
    coarse = rng.integers(80, 240, (max(1, size // 8), max(1, size // 8), 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(image + rng.integers(-12, 12, image.shape), 0, 255).astype(np.uint8)


def drawn_store(path: Path, n: int, size: int, jpeg: bool) -> PatchStore:
    rng = np.random.default_rng(0)
    some = [_patch(rng, size) for _ in range(min(n, 64))]
    contents = [_jpeg(patch) for patch in some] if jpeg else some
    with writing_store(path, "rgb8", size) as writer:
        for i in range(n):
            record = Record(f"slide{i % 1000}/{i}.jpg", f"class{i % 5}", f"patient{i % 200}", f"slide{i % 1000}")
            writer.add(i * 0x9E3779B97F4A7C15 % 2**64, record, "main", "split", (i, i), contents[i % len(contents)])
    return PatchStore(path)


def _jpeg(patch: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(patch).save(out, "JPEG", quality=90)
    return out.getvalue()


def _baseline(store: PatchStore, folder: Path, jpeg: bool) -> Callable[[int], np.ndarray]:
    """The same bytes in a flat file: a plain memory map, and simplejpeg where they are JPEG."""
    contents = [store.content(row) for row in range(len(store))]
    flat = folder / "flat"
    with flat.open("wb") as file:
        for content in contents:
            file.write(content)
    if not jpeg:
        pixels = np.memmap(flat, np.uint8, "r", shape=(len(store), store.size_px, store.size_px, 3))
        return lambda row: np.array(pixels[row])
    encoded = np.memmap(flat, np.uint8, "r")
    ends = np.concatenate([[0], np.cumsum([len(content) for content in contents])])
    return lambda row: simplejpeg.decode_jpeg(encoded[ends[row] : ends[row + 1]], "RGB")


def rate(read: Callable[[int], np.ndarray], rows: list[int]) -> float:
    started = time.perf_counter()
    for row in rows:
        read(row)
    return len(rows) / (time.perf_counter() - started)


def random_access() -> None:
    """Print the table of rates."""
    print(f"{'store':<14}{'ours, patches/s':>18}{'baseline, patches/s':>22}{'ratio':>8}")
    for size, jpeg, n in ((96, False, 16_000), (224, False, 3000), (96, True, 4000), (224, True, 1500)):
        with tempfile.TemporaryDirectory() as folder:
            store = drawn_store(Path(folder) / "patches.h5", n, size, jpeg)
            baseline = _baseline(store, Path(folder), jpeg)
            rows = np.random.default_rng(1).integers(0, n, 2000 if jpeg else 20_000).tolist()
            assert np.array_equal(store.pixels(rows[0]), baseline(rows[0]))
            pairs = [(rate(store.pixels, rows), rate(baseline, rows)) for _ in range(RUNS + 1)][1:]
            ours, plain = (statistics.median(rates) for rates in zip(*pairs, strict=True))
            print(f"{'jpeg' if jpeg else 'raw':<5}{size:>4} px  {ours:>18,.0f}{plain:>22,.0f}{ours / plain:>8.2f}")


def own_memory() -> dict[str, int]:
    """This process's memory in kB that no other shares (USS), and the part that is not the file's (written)."""
    lines = [line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]]
    kb = {words[0].rstrip(":"): int(words[1]) for words in lines}
    return {"uss": kb["Private_Clean"] + kb["Private_Dirty"], "written": kb["Private_Dirty"]}


def _worker(store: PatchStore) -> list[dict[str, int]]:
    """Memory before an epoch of all patches in random order, and after each tenth of it."""
    order = np.random.default_rng(2).permutation(len(store))
    store.pixels(0)
    found = [own_memory()]
    for part in np.array_split(order, 10):
        for row in store.rows(store.ids[part]):
            store.pixels(int(row))
        found.append(own_memory())
    return found


def a_million() -> None:
    """Print opening time and memory of a large store, in two workers at once as a loader would have."""
    for n in (10_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            drawn_store(Path(folder) / "patches.h5", n, 8, jpeg=False)
            wrote = time.perf_counter() - started
            times = []
            for _ in range(RUNS):
                started = time.perf_counter()
                store = PatchStore(Path(folder) / "patches.h5")
                store.pixels(n - 1)
                times.append(time.perf_counter() - started)
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                (before, *after), _ = pool.starmap(_worker, [(store,)] * 2, chunksize=1)
            print(f"{n:>9,} patches of 8 px: written and verified in {wrote:.1f} s, "
                  f"opened in {statistics.median(times) * 1000:.1f} ms")  # fmt: skip
            for name, words in (("written", "a worker's own memory"), ("uss", "the same with file pages only it maps")):
                mib = [f"{one[name] / 1024:.1f}" for one in (before, *after)]
                print(f"          {words}, MiB, before an epoch and after each tenth of it: {' '.join(mib)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    random_access()
    a_million()
