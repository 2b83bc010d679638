"""Canaries in tags, file names and folder names reach no message, no log, no warning, no result."""

import io
import logging
import traceback
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset, Sequence
from pydicom.uid import RLELossless

from data.volumes.dicom_headers import HASHED_TAGS, read_header
from data.volumes.discovery import find_volumes
from data.volumes.reading import read_volume
from data.volumes.reasons import MENDED, Reason, VolumeError
from tests.data.volumes.ct_files import body_hu, write_series

CANARY = "CANARY"
UID = "1.2.826.0.1.424242424242"  # of series and study, digits only
ACCEPT = frozenset(MENDED)
KEY = b"k" * 32


def tags() -> dict[str, object]:
    inner = Dataset()
    inner.PatientName, inner.TextValue = f"{CANARY}^INNER", f"{CANARY} text"
    return {
        "PatientName": f"{CANARY}^JANE", "PatientID": f"{CANARY}-7", "PatientBirthDate": f"{CANARY} 1950",
        "StudyInstanceUID": UID, "AccessionNumber": CANARY, "InstitutionName": CANARY, "StudyDate": f"{CANARY[:4]}",
        "PatientComments": CANARY, "SeriesDescription": f"{CANARY} thorax", "OperatorsName": f"{CANARY}^OP",
        "ContentSequence": Sequence([inner]), "OtherPatientIDs": f"{CANARY}-8", "PatientAge": f"{CANARY}",
        "ImageComments": CANARY, "ProtocolName": CANARY, "StationName": CANARY, "DeviceSerialNumber": CANARY,
    }  # fmt: skip


def series(folder: Path, number: int = 1, **options: object) -> list[Path]:
    # values that break their VR are what pydicom quotes in its warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = write_series(
            folder, body_hu(), series=f"{UID}.{number}", name=CANARY + "_{:03d}.dcm", tags=tags(), **options
        )
        for path in paths:
            ds = pydicom.dcmread(path)
            ds.private_block(0x0009, f"{CANARY} MAKER", create=True).add_new(1, "LO", f"{CANARY}^PRIVATE")
            ds.save_as(path)
    return paths


def broken(folder: Path) -> None:
    """Every way of being wrong that this reader has a name for, and then bytes at random."""
    rng = np.random.default_rng(0)
    series(folder / "tilt" / CANARY, 2, orientation=(1.0, 0.0, 0.0, 0.0, 0.94, 0.342))
    series(folder / "gap", 3, places_mm=[0, 1, 2, 4, 5.4, 8])
    for number, fault in enumerate([
        {"RescaleSlope": f"{CANARY}"}, {"ImagePositionPatient": [CANARY, "1", "2"]}, {"Rows": 9},
        {"PixelSpacing": [CANARY, CANARY]}, {"Modality": CANARY}, {"PhotometricInterpretation": CANARY},
        {"ImageType": [CANARY, "LOCALIZER"]}, {"BitsStored": 40}, {"RescaleType": CANARY},
    ]):  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
            try:
                write_series(folder / f"f{number}", body_hu(), series=f"{UID}.{number + 5}",
                             name=CANARY + "{:d}.dcm", each={3: {**tags(), **fault}})  # fmt: skip
            except (ValueError, TypeError):
                continue  # pydicom does not write it, so it is not met with either
    for number in range(40):
        options = {"syntax": RLELossless} if number % 2 else {}
        path = series(folder / f"r{number}", number + 100, **options)[number % 6]
        raw = bytearray(path.read_bytes())
        for at in rng.integers(132, len(raw), 6):
            raw[at] = rng.integers(256)
        path.write_bytes(raw[: len(raw) - int(rng.integers(0, 300)) * (number % 3 == 0)])
    made = SimpleITK.GetImageFromArray(body_hu())
    made.SetMetaData("descrip", CANARY)
    for name in ("nii", "nii.gz", "mha", "mhd", "nrrd"):
        for number in range(6):
            path = folder / "n" / f"{CANARY}{number}.{name}"
            path.parent.mkdir(exist_ok=True, parents=True)
            SimpleITK.WriteImage(made, str(path))
            raw = bytearray(path.read_bytes())
            for at in rng.integers(0, min(len(raw), 400), number):
                raw[at] = rng.integers(256)
            path.write_bytes(raw)


@pytest.mark.filterwarnings("default")
def test_canaries_stay_where_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / CANARY
    good = series(root / "good" / f"{CANARY}^FOLDER")
    broken(root)
    capfd.readouterr()
    log, said = io.StringIO(), []
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    logging.getLogger("pydicom").setLevel(logging.DEBUG)
    outcomes = {"read": 0, "refused": 0}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = find_volumes(root, KEY)
            for accept in (frozenset[Reason](), ACCEPT):
                for one in found:
                    said += [one.pseudonym, one.patient, *one.aliases, one.fingerprint, str(one.refusal)]
                    try:
                        volume = read_volume(one, accept)
                        said += [*volume.notes, volume.hu.tobytes().decode("latin-1")]
                        outcomes["read"] += 1
                    except VolumeError as error:
                        said += [*error.lines(), *_chain(error)]
                        outcomes["refused"] += 1
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger("pydicom").setLevel(logging.NOTSET)
    printed = capfd.readouterr()
    everything = "\n".join([*said, log.getvalue(), printed.out, printed.err, *(str(one.message) for one in caught)])
    assert outcomes["read"] > 20
    assert outcomes["refused"] > 40
    for secret in (CANARY, CANARY.lower(), UID, "JANE", good[0].name, str(tmp_path)):
        assert secret not in everything


def _chain(error: BaseException) -> list[str]:
    """Whatever a log could write of an exception: also what it was raised from, suppressed or not."""
    texts = ["".join(traceback.format_exception(error))]
    for linked in (error.__cause__, error.__context__):
        if linked is not None:
            texts += [repr(linked), str(linked), *_chain(linked)]
    return texts


def test_only_allowed_tags_are_read_and_ids_only_as_hashes(tmp_path: Path) -> None:
    path = series(tmp_path)[0]
    shown = repr(read_header(path, KEY)).replace(str(path), "")
    assert CANARY not in shown
    assert UID not in shown
    assert len(HASHED_TAGS) == 3
