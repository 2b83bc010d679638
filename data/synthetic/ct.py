"""A folder of drawn CT as a user would have it: a DICOM series for each patient and a table of points like LUNA16's.

DIR/scans/p00/*.dcm  DIR/candidates.csv (seriesuid, coordX, coordY, coordZ, class; world millimetres, LPS)

The series vary as scans do: spacing, slope and intercept, supine and prone, files in no order of their positions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data.files.atomic import replacing, write_bytes
from data.keys import generator
from data.synthetic.chest import Chest, draw_chest

SLICES, SIDE_PX = 36, 128
_SLICE_MM = (2.5, 3.0)
_PRONE_EVERY = 4


@dataclass(frozen=True, slots=True)
class Scans:
    """How many patients, one series each, and how many findings in each at most."""

    seed: int = 0
    patients: int = 24
    candidates: int = 15

    def names(self) -> list[str]:
        """One name a patient; its series lies in `scans/NAME`."""
        return [f"p{patient:02d}" for patient in range(self.patients)]

    def series_uid(self, index: int) -> str:
        """The series instance UID of patient `index`."""
        return self._uid("series", index)

    def _uid(self, *words: object) -> str:
        return str(generate_uid(entropy_srcs=["drawn-ct", str(self.seed), *map(str, words)]))


def draw_series(directory: Path, scans: Scans, index: int) -> None:
    """Draw series `index` into `directory`, and its rows of the table beside it; a series that is whole is left."""
    series, rows = directory / "scans" / scans.names()[index], _rows_path(directory, scans, index)
    if rows.exists():
        return
    series.mkdir(parents=True, exist_ok=True)
    rng = generator("drawn-ct", scans.seed, index)
    spacing_mm = (in_plane := round(float(rng.uniform(1.8, 2.05)), 3), in_plane, float(rng.choice(_SLICE_MM)))
    chest = draw_chest(rng, (SLICES, SIDE_PX, SIDE_PX), spacing_mm, scans.candidates)
    origin_mm = np.round(rng.uniform(-200, 50, 3), 2)
    slope = float(rng.choice([1.0, 0.5]))
    prone = index % _PRONE_EVERY == _PRONE_EVERY - 1
    for number, z in enumerate(rng.permutation(SLICES).tolist()):  # names say nothing of positions
        dataset = _slice(scans, index, chest, origin_mm, z, slope, prone)
        with replacing(series / f"im{number:03d}.dcm") as part:
            dataset.save_as(part, enforce_file_format=True)
    world = chest.points_mm + origin_mm
    lines = [
        f"{scans.series_uid(index)},{x:.2f},{y:.2f},{z:.2f},{finding}\n"
        for (x, y, z), finding in zip(world.tolist(), chest.findings, strict=True)
    ]
    rows.parent.mkdir(exist_ok=True)
    write_bytes(rows, "".join(lines).encode())  # last: what has rows is whole


def write_points(directory: Path, scans: Scans) -> None:
    """Join the rows of all series into `candidates.csv`."""
    parts = [_rows_path(directory, scans, index) for index in range(scans.patients)]
    header = b"seriesuid,coordX,coordY,coordZ,class\n"
    write_bytes(directory / "candidates.csv", header + b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()
    parts[0].parent.rmdir()


def _rows_path(directory: Path, scans: Scans, index: int) -> Path:
    return directory / ".rows" / f"{scans.names()[index]}.csv"


def _slice(scans: Scans, index: int, chest: Chest, origin_mm: np.ndarray, z: int, slope: float, prone: bool) -> Dataset:
    """One CT image. Prone: the scanner saw the patient turned by 180 degrees, so rows and columns run backwards."""
    instance = scans._uid("instance", index, z)
    dataset = Dataset()
    dataset.file_meta = _meta(instance)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, instance
    dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName, dataset.PatientID = f"Drawn^{index:03d}", f"drawn-{scans.seed}-{index:03d}"
    dataset.StudyInstanceUID = scans._uid("study", index)
    dataset.SeriesInstanceUID = scans.series_uid(index)
    dataset.FrameOfReferenceUID = scans._uid("frame", index)
    dataset.StudyDate, dataset.SeriesNumber, dataset.InstanceNumber = "20200101", 1, SLICES - z
    dataset.PatientPosition = "HFP" if prone else "HFS"
    step_x, step_y, step_z = chest.spacing_mm
    hu = chest.hu[z]
    corner = origin_mm + np.array([0, 0, z * step_z])
    if prone:
        corner = corner + np.array([(hu.shape[1] - 1) * step_x, (hu.shape[0] - 1) * step_y, 0])
        hu = hu[::-1, ::-1]
    dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0] if prone else [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [f"{value:.3f}" for value in corner]
    dataset.PixelSpacing, dataset.SliceThickness = [step_y, step_x], step_z
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, slope, "HU"
    dataset.PixelData = np.rint((hu.astype(np.float64) + 1024) / slope).astype("<u2").tobytes()
    return dataset


def _meta(instance: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # a name of our own: the library's would change the bytes with its version
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["drawn-ct-writer"])
    meta.ImplementationVersionName = "DRAWN"
    return meta
