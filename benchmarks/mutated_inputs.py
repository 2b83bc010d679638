"""Damaged inputs through the real command: no traceback, no hang, no changed pixels taken for what was committed.

    python -m benchmarks.mutated_inputs [--each 250] [--seed 0] [--workers 2]

Nine kinds of input, `--each` damaged files of each kind: tiled TIFF slides, QuPath GeoJSON, CLAM coordinates, DICOM
slices, NIfTI, MetaImage and NRRD go through `prepare`, a unit a file; tables are listed one by one; files of a
prepared directory are put to `verify` and to a chain's reader. Ends with 0 when nothing was found, else 1.
"""

import argparse
import contextlib
import csv
import io
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from data.errors import ChainError
from data.keys import generator
from data.readers.prepared import Prepared
from data.slides.preparation import Slides
from data.synthetic.slides import SlideSpec, write_slide
from data.volumes.preparation import Volumes
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare.views import verify

ROOT = Path(__file__).resolve().parent.parent
STALL_S = 10
SIDE_PX, PATCH_PX = 512, 64
SLIDES = f"prepare: {{kind: slides, path: in, mpp: 0.5, size_px: {PATCH_PX}, tissue: {{everything: true}}, "
VOLUMES = (
    "prepare: {kind: volumes, path: in, spacing_mm: 2.0, slice_mm: 3.0, size_px: 16, shape: 2d, "
    "where: {kind: grid, stride_mm: 24.0}, "
)


def damaged(raw: bytes, rng: np.random.Generator) -> bytes:
    """One damage of the kinds that disks, transfers and malice do; never the same bytes."""
    out = bytearray(raw)
    head = max(1, min(len(out), 2048))
    place = int(rng.integers(head if rng.random() < 0.5 else len(out)))
    digits = [at for at, byte in enumerate(out[:4096]) if 48 <= byte <= 57]
    match int(rng.integers(7 if digits else 6)):
        case 0:
            for at in rng.integers(0, len(out), 1 + int(rng.integers(8))):
                out[at] ^= 1 << int(rng.integers(8))
        case 1:
            out[place : place + 4] = rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF], 1).astype("<u4").tobytes()
        case 2:
            del out[place:]
        case 3:
            stop = min(len(out), place + int(rng.integers(1, 4096)))
            out[place:stop] = bytes(stop - place)
        case 4:
            del out[place : place + int(rng.integers(1, 64))]
        case 5:
            out[place:place] = rng.integers(0, 256, int(rng.integers(1, 64)), dtype=np.uint8).tobytes()
        case 6:
            out[int(rng.choice(digits))] = int(rng.choice(list(b"0123456789-.e ")))
    return bytes(out) if bytes(out) != raw else raw[: len(raw) // 2]


class Case:
    """One kind of input: `lay(folder, count, rng)` writes `in/` and all beside it; the rest of the settings."""

    def __init__(self, settings: str, lay: Callable[[Path, int, np.random.Generator], None]) -> None:
        self.settings, self.lay = settings, lay


def drawn_slide(folder: Path) -> bytes:
    path = folder / "drawn.tif"
    write_slide(path, SlideSpec(side_px=SIDE_PX))
    raw = path.read_bytes()
    path.unlink()
    return raw


def slides(folder: Path, count: int, rng: np.random.Generator) -> None:
    raw = drawn_slide(folder)
    for number in range(count):
        (folder / "in" / f"{number:04d}.tif").write_bytes(damaged(raw, rng))


def beside(name: str, whole: Callable[[], bytes]) -> Callable[[Path, int, np.random.Generator], None]:
    """Slides as they should be, each with one damaged file in `more/`."""

    def lay(folder: Path, count: int, rng: np.random.Generator) -> None:
        (folder / "slide").write_bytes(drawn_slide(folder))
        (folder / "more").mkdir()
        raw = whole()
        for number in range(count):
            (folder / "in" / f"{number:04d}.tif").hardlink_to(folder / "slide")
            (folder / "more" / f"{number:04d}{name}").write_bytes(damaged(raw, rng))

    return lay


def geojson() -> bytes:
    ring = [[40, 40], [400, 60], [380, 420], [60, 400], [40, 40]]
    about = {"objectType": "annotation", "classification": {"name": "tumour", "color": [200, 0, 0]}}
    shape = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": about}
    return json.dumps({"type": "FeatureCollection", "features": [shape, shape]}).encode()


def clam() -> bytes:
    at = np.stack(np.meshgrid(*[np.arange(0, SIDE_PX, PATCH_PX)] * 2), axis=-1).reshape(-1, 2).astype(np.int32)
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        coords = file.create_dataset("coords", data=at, maxshape=(None, 2), chunks=(1, 2))
        about = {"patch_size": PATCH_PX, "patch_level": 0, "downsample": np.array([1.0, 1.0])}
        about |= {"downsampled_level_dim": np.array([SIDE_PX] * 2), "level_dim": np.array([SIDE_PX] * 2)}
        coords.attrs.update(about)
    return held.getvalue()


def body() -> np.ndarray:
    """(6, 40, 40) int16: a cylinder of soft tissue in air."""
    y, x = np.mgrid[:40, :40] - 19.5
    inside = np.hypot(x, y) < 15
    noise = generator("mutated").integers(-20, 20, (6, 40, 40))
    return np.where(inside, 40 + noise, -1000 + noise // 4).astype(np.int16)


def volume(suffix: str) -> Callable[[Path, int, np.random.Generator], None]:
    def lay(folder: Path, count: int, rng: np.random.Generator) -> None:
        import SimpleITK

        image = SimpleITK.GetImageFromArray(body())
        image.SetSpacing((2.0, 2.0, 3.0))
        SimpleITK.WriteImage(image, str(folder / f"whole{suffix}"))
        raw = (folder / f"whole{suffix}").read_bytes()
        for number in range(count):
            (folder / "in" / f"{number:04d}{suffix}").write_bytes(damaged(raw, rng))

    return lay


def dicom(folder: Path, count: int, rng: np.random.Generator) -> None:
    from data.synthetic.ct import Scans, draw_series

    # the series of one patient, four of its slices: identifiers are replaced, so that each copy is a series
    draw_series(folder, Scans(patients=1), 0)
    whole = [path.read_bytes() for path in sorted((folder / "scans" / "p00").iterdir())]
    uid = Scans(patients=1).series_uid(0).encode()
    for number in range(count):
        series = folder / "in" / f"{number:04d}"
        series.mkdir()
        own = uid[:-4] + f"{number:04d}".encode()
        copies = [raw.replace(uid, own) for raw in whole]
        hit = int(rng.integers(len(copies)))
        copies[hit] = damaged(copies[hit], rng)
        for place, raw in enumerate(copies):
            (series / f"{place:02d}.dcm").write_bytes(raw)


CASES = {
    "tiled TIFF": Case(SLIDES + "quarantine_limit: 0.9, ", slides),
    "GeoJSON": Case(SLIDES + "annotations: {path: more}, ", beside(".geojson", geojson)),
    "CLAM HDF5": Case(SLIDES + "coordinates: {path: more}, ", beside(".h5", clam)),
    "DICOM": Case(VOLUMES, dicom),
    "NIfTI": Case(VOLUMES, volume(".nii.gz")),
    "MetaImage": Case(VOLUMES, volume(".mha")),
    "NRRD": Case(VOLUMES, volume(".nrrd")),
}


def prepared(case: Case, folder: Path, count: int, seed: int, workers: int) -> tuple[Counter[str], list[str]]:
    """One run of `prepare` over `count` damaged inputs: what became of them, and what is wrong."""
    (folder / "in").mkdir(parents=True)
    case.lay(folder, count, generator("mutated-inputs", seed, case.settings))
    (folder / "c.yaml").write_text(case.settings + "failure_limit: 1.0}\n")
    words = ["prepare", folder / "c.yaml", folder / "out", "--stall", str(STALL_S), "--workers", str(workers)]
    command = [sys.executable, ROOT / "run_chain.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + STALL_S * count)
    wrong = [f"exit {done.returncode}: {done.stderr[-300:]}"] if done.returncode not in (0, 65) else []
    logs = [path.read_text(errors="replace") for path in (folder / "out" / "logs").glob("*.log")]
    wrong += [f"traceback: {text[-300:]}" for text in (done.stdout, done.stderr, *logs) if "Traceback" in text]
    seen: Counter[str] = Counter()
    with (folder / "out" / "table.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            reason = row["reason"]
            seen[row["status"]] += 1
            if "internal" in reason or "silent" in reason or "died" in reason or "signal" in reason:
                wrong.append(f"{row['unit']}: {reason}")
            if row["status"] == "done" and float(row["seconds"] or 0) > STALL_S:
                wrong.append(f"{row['unit']}: {row['seconds']} s")
    if seen.total() < count:  # damaged headers may leave a file that is none of this kind
        seen["not listed"] = count - seen.total()
    return seen, wrong


def listed(
    folder: Path, count: int, seed: int, whole: bytes, units: Callable[[Path], object]
) -> tuple[Counter[str], list[str]]:
    """Damaged tables, one listing each."""
    rng, path = generator("mutated-tables", seed, len(whole)), folder / "table.csv"
    return judged(count, lambda: (path.write_bytes(damaged(whole, rng)), units(path))[1])


def judged(count: int, attempt: Callable[[], object]) -> tuple[Counter[str], list[str]]:
    seen: Counter[str] = Counter()
    wrong = []
    for number in range(count):
        begun = time.monotonic()
        try:
            attempt()
            seen["listed"] += 1
        except ChainError:
            seen["refused"] += 1
        except Exception as error:  # noqa: BLE001 - what this is looking for
            wrong.append(f"{number}: {type(error).__name__}: {error}")
        if time.monotonic() - begun > STALL_S:
            wrong.append(f"{number}: {time.monotonic() - begun:.0f} s")
    return seen, wrong


def tables(folder: Path, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Half of them of slides, half of points."""
    folder.mkdir()
    (folder / "in").mkdir()
    for name in "ab":
        (folder / "in" / f"{name}.tif").write_bytes(drawn_slide(folder))
    rows = b"file,patient,site,label,split,mpp\na.tif,P1,here,tumour,,0.5\nb.tif,P2,there,,,0.5\n"
    base = Slides(path=folder / "in", mpp=0.5, size_px=PATCH_PX)
    seen, wrong = listed(folder, count // 2, seed, rows, lambda p: base.model_copy(update={"table": p}).units(b""))

    (folder / "scans").mkdir()
    volume(".nii.gz")(folder, 0, generator())
    (folder / "whole.nii.gz").rename(folder / "scans" / "one.nii.gz")
    points = b"seriesuid,coordX,coordY,coordZ,class\none,-40.0,-40.0,6.0,nodule\none,-30.5,-50.25,9.0,vessel\n"
    settings = {"kind": "volumes", "path": str(folder / "scans"), "spacing_mm": 2.0, "slice_mm": 3.0, "size_px": 16}
    settings |= {"shape": "2d", "where": {"kind": "points"}, "points": {"csv": str(folder / "table.csv")}}
    config = Volumes.model_validate_json(json.dumps(settings | {"labels": {"kind": "points"}}))
    more, worse = listed(folder, count - count // 2, seed, points, lambda p: config.units(b"k" * 32))
    return seen + more, wrong + worse


def commits(folder: Path, count: int, seed: int, workers: int) -> tuple[Counter[str], list[str]]:
    """Files of a prepared directory, each with one damage: `verify` and the reader of a chain must both notice."""
    case = Case(SLIDES, lambda at, n, rng: [(at / "in" / f"{i}.tif").write_bytes(raw) for i in range(n)] and None)
    folder.mkdir()
    raw = drawn_slide(folder)
    seen, wrong = prepared(case, folder, 2, seed, workers)
    out, rng = folder / "out", generator("mutated-commits", seed)

    def read() -> list[object]:
        reader = Prepared(path=out)
        return [(record.key, record.label, dict(record.numbers), reader.content(record)) for record in reader.records()]

    whole = read()
    files = sorted(path for path in (out / "units").rglob("*") if path.is_file())
    seen.clear()
    for number in range(count):
        path = files[number % len(files)]
        held = path.read_bytes()
        path.write_bytes(damaged(held, rng))
        checks = {"verify": lambda: list(verify(PreparedLayout(out)))}
        if path.name == "patches.h5":
            checks["reader"] = read
        for name, notice in checks.items():
            try:
                if notice() == whole:  # the damage lies between the data
                    seen["without effect on the reader"] += 1
                elif (
                    path.name == "stage.json" and json.loads(path.read_bytes())["recipe"] != json.loads(held)["recipe"]
                ):
                    seen["makes its unit anew"] += 1  # it stands, but `prepare` takes it for that of other settings
                else:
                    wrong.append(f"{name}: a damaged {path.relative_to(out)} went unnoticed")
            except ChainError:
                seen[f"noticed by {name}"] += 1
        path.write_bytes(held)
    assert list(verify(PreparedLayout(out)))
    return seen, wrong


def recipe(record: bytes) -> object:
    return json.loads(record)["recipe"]


@contextlib.contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="mutated-") as made:
            yield Path(made)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--into", type=Path, help="keep everything here; default: a temporary folder")
    args = parser.parse_args()
    logging.getLogger("patchchain").setLevel(logging.CRITICAL)
    total, faults = 0, 0

    def show(name: str, found: tuple[Counter[str], list[str]]) -> None:
        nonlocal total, faults
        seen, wrong = found
        total, faults = total + args.each, faults + len(wrong)
        words = ", ".join(f"{n:,} {word}" for word, n in sorted(seen.items()))
        print(f"{name:<12} {args.each:,} damaged: {words}; {len(wrong)} wrong", flush=True)
        for line in wrong[:5]:
            print(f"  {line}", flush=True)

    with kept(args.into) as root:
        for number, (name, case) in enumerate(CASES.items()):
            show(name, prepared(case, root / str(number), args.each, args.seed, args.workers))
        show("CSV tables", tables(root / "tables", args.each, args.seed))
        show("committed", commits(root / "commits", args.each, args.seed, args.workers))
    print(json.dumps({"inputs": total, "wrong": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
