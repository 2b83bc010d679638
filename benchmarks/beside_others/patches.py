"""The patches all sides read: JPEG files and manifest.csv, `path,label,split`; a pool's row says no label."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.beside_others.setting import Setting
from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.readers.synthetic import Synthetic

DRAWN = "drawn"  # the set that needs no data
QUALITY = 95
CHAIN = "without-test.csv"  # the manifest that the chain is given


@dataclass(frozen=True)
class Rows:
    """A manifest. paths: (N,) relative to its folder; label: (N,) codes into `classes`, -1 in the pool; split: (N,)."""

    paths: list[str]
    label: np.ndarray
    split: np.ndarray
    classes: list[str]

    def of(self, split: str) -> np.ndarray:
        """Rows of a split."""
        return np.flatnonzero(self.split == split)


def read(folder: Path) -> Rows:
    """What `written` wrote."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows} - {""})
    code = {name: number for number, name in enumerate(classes)} | {"": -1}
    label, split = np.array([code[row["label"]] for row in rows]), np.array([row["split"] for row in rows])
    return Rows([row["path"] for row in rows], label, split, classes)


def written(name: str, data: Path, setting: Setting, folder: Path) -> Rows:
    """Draw the parts of a set at random, or take what lies there.

    name: `drawn`, a set below `data` or a folder, of one folder a class. No two files are equal. Slides are not known,
    so that test patches share them with labelled ones. Raises FileNotFoundError without the set, ValueError where a
    class has too few patches. Beside manifest.csv lies what the chain is given, the same without test.
    """
    if not (folder / "manifest.csv").is_file():
        table = io.StringIO()
        out = csv.writer(table)
        out.writerow(["path", "label", "split"])
        for label, contents in _contents(name, data, setting):
            taken = iter(contents)
            for split, number in setting.parts.items():
                for index in range(number):
                    if (content := next(taken, None)) is None:
                        raise ValueError(f"{name}: {label} has fewer than {sum(setting.parts.values())} patches")
                    # the name tells a pool's label to nobody: no side reads it
                    path = f"patches/{label}-{split}-{index:05d}.jpg"
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(content)
                    out.writerow([path, "" if split == "pool" else label, split])
        write_bytes(folder / "manifest.csv", table.getvalue().encode())
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    write_bytes(folder / CHAIN, "".join(line for line in lines if not line.rstrip().endswith(",test")).encode())
    return read(folder)


def _contents(name: str, data: Path, setting: Setting) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Class and its JPEG files, in an order that chance has drawn."""
    if name == DRAWN:
        yield from _drawn(setting)
        return
    root = data / name if (data / name).is_dir() else Path(name)
    if not root.is_dir():
        raise ChainError(
            f"the set {name} is not there: neither {data / name} nor {root} is a folder",
            f"a set is {DRAWN}, a folder below the one that PATCHCHAIN_DATA names, or any with a folder a class",
            "correct the name, or set PATCHCHAIN_DATA",
            ExitCode.MISSING,
        )
    for label in sorted(path.name for path in root.iterdir() if path.is_dir()):
        files = sorted(path for path in (root / label).rglob("*") if path.is_file())
        order = np.random.default_rng(0).permutation(len(files))
        yield label, _files([files[row] for row in order], setting.size_px)


def _files(files: list[Path], size_px: int) -> Iterator[bytes]:
    seen = set()
    for path in files:
        content = path.read_bytes()
        digest = hashlib.sha256(content).digest()
        if digest in seen:
            continue
        seen.add(digest)
        with Image.open(io.BytesIO(content)) as image:
            fits = image.format == "JPEG" and image.mode == "RGB" and image.size == (size_px, size_px)
            yield content if fits else _jpeg(image.convert("RGB").resize((size_px, size_px), Image.Resampling.BICUBIC))


def _drawn(setting: Setting) -> Iterator[tuple[str, Iterator[bytes]]]:
    each = 50  # patches of a patient, over all classes
    needed = sum(setting.parts.values())
    reader = Synthetic(name="main", patients=1 + 5 * needed // each, patches_per_patient=each, size_px=setting.size_px)
    records = list(reader.records())
    for label in sorted(reader.classes):
        own = [record for record in records if record.label == label]
        order = np.random.default_rng(0).permutation(len(own))
        yield label, (_jpeg(Image.fromarray(reader.content(own[row]))) for row in order)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
