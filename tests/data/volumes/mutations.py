"""Damaged volumes, read in a process of their own: `python -m tests.data.volumes.mutations FOLDER COUNT`.

Prints JSON: how many were read, refused, or ended in anything but a refusal; the longest and the largest.
"""

import json
import resource
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from data.errors import ChainError
from data.volumes.discovery import find_volumes
from data.volumes.reading import read_volume
from data.volumes.reasons import MENDED
from tests.data.volumes.ct_files import body_hu, write_series

KEY = b"k" * 32
ACCEPT = frozenset(MENDED)
HU = body_hu((3, 24, 24))


def originals(folder: Path) -> list[Path]:
    """One file of each kind; of a DICOM series the one that will be damaged."""
    paths = []
    for number, options in enumerate([
        {}, {"syntax": ImplicitVRLittleEndian}, {"syntax": ExplicitVRBigEndian}, {"syntax": RLELossless},
        {"preamble": False}, {"signed": True, "bits": 12, "intercept": 0.0}, {"signed": True, "intercept": 0.0},
        {"signed": True, "intercept": 0.0},
    ]):  # fmt: skip
        series = write_series(folder / f"d{number}", HU, series=f"1.2.{number}", **options)
        if number >= 6:
            for path in series:
                _compress(path, "JPEG2000" if number == 6 else "JPEG")
        paths.append(series[1])
    made = SimpleITK.GetImageFromArray(HU)
    for number, (name, packed) in enumerate([
        ("a.nii", False), ("a.nii.gz", True), ("a.mha", False), ("a.mha", True), ("a.mhd", False), ("a.nrrd", False),
        ("a.nrrd", True),
    ]):  # fmt: skip
        path = folder / f"f{number}" / name
        path.parent.mkdir()
        SimpleITK.WriteImage(made, str(path), packed)
        paths.append(path)
    return paths


def _compress(path: Path, compressor: str) -> None:
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(SimpleITK.ReadImage(str(path)))


def mutated(raw: bytes, rng: np.random.Generator) -> bytes:
    """One damage of the kinds that disks, transfers and malice do."""
    out = bytearray(raw)
    head = min(len(out), 1200)

    def flip(limit: int, count: int) -> None:
        for at in rng.integers(0, limit, count):
            out[at] ^= 1 << int(rng.integers(8))

    def noise(limit: int) -> None:
        for at in rng.integers(0, limit, int(rng.integers(1, 12))):
            out[at] = int(rng.integers(256))

    def large() -> None:
        at = int(rng.integers(0, head - 4))
        out[at : at + 4] = struct.pack("<I", int(rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 0x10000, 0x8000, 0, 65535])))

    def cut() -> None:
        del out[int(rng.integers(0, len(out))) :]

    def drop() -> None:
        at = int(rng.integers(0, head))
        del out[at : at + int(rng.integers(1, 40))]

    def twice() -> None:
        at = int(rng.integers(0, head))
        out[at:at] = out[at : at + int(rng.integers(1, 60))]

    def digits() -> None:
        places = [at for at in range(head) if chr(out[at]).isdigit()]
        for at in rng.choice(places, min(3, len(places)), replace=False):
            out[at] = int(rng.choice(list(b"0123456789.-e")))

    damage: list[Callable[[], None]] = [
        lambda: flip(head, 3), lambda: flip(len(out), 3), lambda: noise(head), lambda: noise(len(out)),
        large, large, cut, drop, twice, digits,
    ]  # fmt: skip
    damage[int(rng.integers(len(damage)))]()
    return bytes(out)


def main(folder: Path, count: int) -> None:
    files = originals(folder)
    raws = [path.read_bytes() for path in files]
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    longest, largest = 0.0, 0
    slowest = who = ""
    for number in range(count):
        path, raw = files[number % len(files)], raws[number % len(files)]
        path.write_bytes(mutated(raw, np.random.default_rng(number)))
        (folder / "now.txt").write_text(f"{number} {path.name}")
        for accept in (frozenset[str](), ACCEPT):
            began = time.monotonic()
            try:
                for one in find_volumes(path.parent, KEY, accept=accept):
                    try:
                        volume = read_volume(one, accept)
                        assert volume.hu.dtype == np.int16
                        assert np.isfinite(volume.affine).all()
                        volume.oriented()
                        # the checksum of gzip covers header and voxels: what is read is what was written
                        assert not path.name.endswith(".gz") or np.array_equal(volume.hu, HU)
                        seen["read"] += 1
                    except ChainError as error:
                        seen[getattr(error, "reason", "other")] += 1
            except ChainError:
                seen["nothing found"] += 1
            except Exception:  # noqa: BLE001 - what this is looking for
                wrong.append(f"{number} {path.name}: {traceback.format_exc(limit=-4)}")
            took = time.monotonic() - began
            if took > longest:
                longest, slowest = took, f"{number} {path.name}"
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if used > largest:
                largest, who = used, f"{number} {path.name}"
        path.write_bytes(raw)
    slow, big = [round(longest, 3), slowest], [largest // 1024, who]
    print(json.dumps({"seen": seen, "wrong": wrong, "longest_s": slow, "peak_mb": big}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
