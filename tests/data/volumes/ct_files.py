"""Small CT series as a scanner writes them: one DICOM file a slice, by pydicom, from HU that a test knows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def body_hu(shape: tuple[int, int, int] = (6, 16, 20), seed: int = 0) -> np.ndarray:
    """(Z, Y, X) int16: tissue with noise in air, no two slices alike."""
    rng = np.random.default_rng(seed)
    hu = rng.integers(-80, 200, shape).astype(np.int16)
    hu[:, :3], hu[:, :, :3] = -1000, -1000
    hu[:, 5, 5] = np.arange(shape[0]) * 50
    return hu


def slice_dataset(
    hu: np.ndarray,
    position_mm: tuple[float, ...],
    series: str,
    *,
    orientation: tuple[float, ...] = AXIAL,
    pixel_mm: tuple[float, float] = (0.8, 0.7),
    slope: float = 1.0,
    intercept: float = -1024.0,
    signed: bool = False,
    bits: int = 16,
    syntax: str = ExplicitVRLittleEndian,
    tags: Mapping[str, Any] | None = None,
) -> Dataset:
    """One slice of HU (rows, columns). tags: more, or others; None as a value removes a tag."""
    stored = np.rint((hu - intercept) / slope).astype("i2" if signed else "u2")
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax if syntax != RLELossless else ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "P-1", "1.2.3", series
    ds.ImagePositionPatient, ds.ImageOrientationPatient = list(position_mm), list(orientation)
    ds.PixelSpacing, ds.SliceThickness = list(pixel_mm), 2.0
    ds.Rows, ds.Columns = hu.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, int(signed)
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    for name, value in (tags or {}).items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    if bits < 16:
        stored = (stored.view("u2") & (2**bits - 1)).astype("u2")  # the sign is not extended
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OW"
    if syntax == RLELossless:
        ds.compress(RLELossless)
    return ds


def save(ds: Dataset, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    syntax = ds.file_meta.TransferSyntaxUID
    if options.pop("preamble", True):
        ds.save_as(path, enforce_file_format=True)
    else:
        ds.file_meta = FileMetaDataset()
        little, implicit = syntax != ExplicitVRBigEndian, syntax == "1.2.840.10008.1.2"
        ds.save_as(path, little_endian=little, implicit_vr=implicit)


def write_series(
    folder: Path,
    hu: np.ndarray,
    places_mm: np.ndarray | list[float] | None = None,
    *,
    step: tuple[float, float, float] = (0.0, 0.0, 1.0),
    origin_mm: tuple[float, float, float] = (-10.0, -20.0, 30.0),
    series: str = "1.2.3.4",
    name: str = "{:03d}.dcm",
    each: Mapping[int, Mapping[str, Any]] | None = None,
    preamble: bool = True,
    **options: Any,
) -> list[Path]:
    """One file a slice of hu (Z, Y, X); slice k lies at origin + places_mm[k] * step, by default 2 mm apart.

    Names run against the positions, as they often do. each: more tags for single slices.
    """
    places = np.arange(len(hu)) * 2.0 if places_mm is None else np.asarray(places_mm, float)
    paths = []
    for k, (pixels, place) in enumerate(zip(hu, places, strict=True)):
        position = tuple(round(float(o + place * s), 6) for o, s in zip(origin_mm, step, strict=True))
        tags = {**options.get("tags", {}), **(each or {}).get(k, {})}
        slope = tags.pop("slope", options.get("slope", 1.0))
        rest = {key: value for key, value in options.items() if key not in ("tags", "slope")}
        ds = slice_dataset(pixels, position, series, slope=slope, tags=tags, **rest)
        paths.append(folder / name.format(len(hu) - k))
        save(ds, paths[-1], preamble=preamble)
    return paths
