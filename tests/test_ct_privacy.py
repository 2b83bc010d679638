"""Canary names planted wherever a scan may name a person: none may leave, whatever becomes of the scan."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import run_chain
from data import fault
from data.synthetic.ct import Scans, draw_series, write_points

CANARY = "KANARIE"
TEXT_TAGS = ("PatientName", "PatientID", "InstitutionName", "ReferringPhysicianName", "StudyDescription",
             "SeriesDescription", "AccessionNumber", "ImageComments", "ProtocolName", "OperatorsName")  # fmt: skip


def plant(path: Path, number: int, patient: str = "PatientID") -> None:
    """Canaries in standard, private and nested tags, and in values that parsers warn about."""
    scan = pydicom.dcmread(path)
    for tag in TEXT_TAGS:
        setattr(scan, tag, f"{CANARY}^{tag}"[:16] if tag == "AccessionNumber" else f"{CANARY}^{tag}")
    scan.PatientID = f"{CANARY}^{patient}"
    block = scan.private_block(0x0009, f"{CANARY} PRIVATE", create=True)
    block.add_new(0x01, "LO", f"{CANARY} private")
    nested = Dataset()
    nested.PatientName = f"{CANARY}^NESTED"
    scan.ReferencedPatientSequence = Sequence([nested])
    with pydicom.config.disable_value_validation():
        scan.PatientBirthDate = f"{CANARY} 1950"
        scan.save_as(path.with_name(f"{CANARY}_{number}.dcm"))
    path.unlink()


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good series, one with a slice missing, one cut short, files of three kinds, good and broken; two tables."""
    root = tmp_path_factory.mktemp("in")
    drawn = Scans(patients=3, candidates=3)
    for index in range(3):
        draw_series(root, drawn, index)
    write_points(root, drawn)
    for folder in sorted((root / "scans").iterdir()):
        for number, path in enumerate(sorted(folder.iterdir())):
            plant(path, number)
        folder.rename(folder.with_name(f"{CANARY}_{folder.name}"))
    gap, cut = (root / "scans" / f"{CANARY}_p0{index}" for index in (1, 2))
    (gap / f"{CANARY}_9.dcm").unlink()
    short = cut / f"{CANARY}_5.dcm"
    short.write_bytes(short.read_bytes()[:5000])
    hu = np.full((6, 40, 40), -1000, np.int16)
    hu[:, 5:35, 5:35] = 30
    image = sitk.GetImageFromArray(hu)
    for name in ("fine.nii.gz", "broken.nii.gz", "broken.mha", "broken.nrrd"):
        path = root / "scans" / f"{CANARY}_{name}"
        sitk.WriteImage(image, str(path))
        if "broken" in name:
            path.write_bytes(path.read_bytes()[:-200])
    (root / "scans" / f"{CANARY}_text.dcm").write_text(f"{CANARY} is not DICOM")
    with (root / "candidates.csv").open("a") as file:
        file.write(f"{CANARY}_fine,20,20,3,solid\n{CANARY}_fine,900,20,3,solid\n{CANARY}_gone,1,2,3,solid\n")
    uids = [drawn.series_uid(index) for index in range(3)]
    rows = [f"{uid},{CANARY}_{index},north,solid," for index, uid in enumerate(uids)]
    (root / "table.csv").write_text("\n".join(["series,patient,site,label,split", *rows]) + "\n")
    (root / "uids.json").write_text(json.dumps(uids))
    return root


def test_no_name_of_a_person_file_or_folder_leaves(scans, tmp_path, capfd, caplog):
    config = {
        "prepare": {
            "kind": "volumes", "path": str(scans / "scans"), "spacing_mm": 1.5, "size_px": 16, "shape": "2.5d",
            "where": {"kind": "points"}, "points": {"csv": str(scans / "candidates.csv")},
            "labels": {"kind": "points"}, "unmatched": "skip", "quarantine_limit": 0.5,
        }
    }  # fmt: skip
    path, out = tmp_path / "ct.yaml", tmp_path / "out"
    path.write_text(json.dumps(config))
    table = ["--set", f"prepare.table={scans / 'table.csv'}", "--set", "prepare.accept=[missing_slices, non_ct]"]
    codes = [
        run_chain.main([*map(str, words)])
        for words in (
            ("prepare", path, out),
            ("prepare", path, out, "--set", "prepare.unmatched=refuse"),
            ("check", path),
            ("prepare", path, out, *table),
            ("status", out),
        )
    ]
    said = "".join(capfd.readouterr()) + caplog.text
    assert codes[:2] == [65, 65]
    for expected in ("missing_slices", "truncated", "corrupt", "line 13 is about no volume", "made again"):
        assert expected in said
    assert len(list(out.glob("units/*/patches.h5"))) == 3
    files = [file for file in out.rglob("*") if file.is_file()]
    assert len(files) > 15
    hidden = [CANARY, *json.loads((scans / "uids.json").read_text())]
    for file in files:
        content = f"{file.relative_to(out)}\n".encode() + file.read_bytes()
        assert not [word for word in hidden if word.encode() in content], file
    assert not [word for word in hidden if word in said]


def texts(file: Path) -> Iterator[bytes]:
    """All that a file says, also what is packed in it."""
    raw = file.read_bytes()
    yield raw
    if raw.startswith(b"PK"):  # checkpoints
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if file.suffix == ".parquet":
        yield pandas.read_parquet(file).to_csv().encode()
    if raw.startswith((b"\x89PNG", b"\xff\xd8")):
        yield repr(Image.open(io.BytesIO(raw)).info).encode()


def test_no_name_reaches_anything_that_a_chain_leaves(tmp_path, capfd, caplog, monkeypatch):
    """Stores, splits, curves, checkpoints in work, logs, models: every file, in the middle of a training and after."""
    drawn = Scans(patients=8, candidates=4)
    for index in range(8):
        draw_series(tmp_path, drawn, index)
    write_points(tmp_path, drawn)
    for folder in sorted((tmp_path / "scans").iterdir()):
        for number, path in enumerate(sorted(folder.iterdir())):
            plant(path, number, folder.name)
        folder.rename(folder.with_name(f"{CANARY}_{folder.name}"))
    config = {
        "rounds": 1,
        "prepare": {
            "kind": "volumes", "path": str(tmp_path / "scans"), "spacing_mm": 2.0, "size_px": 16,
            "where": {"kind": "points"}, "points": {"csv": str(tmp_path / "candidates.csv")},
            "labels": {"kind": "points"},
        },
        "data": {"mode": "hu16", "size_px": 16, "windows": ["lung"],
                 "sources": [{"kind": "prepared", "path": str(tmp_path / "out")}]},
        "splits": {"validation": 0.25, "test": 0.25, "labels": {"count": 1}},
        "teacher": {"backbone": "test_resnet", "steps": 2, "evaluate_every": 1, "batch_size": 4},
        "student": {"backbone": "test_resnet", "steps": 2, "evaluate_every": 1, "batch_size": 4,
                    "unlabeled_ratio": 1, "drop_path": 0.0},
        "select": {"rule": "top_k", "k": 3},
        "promote": {"tolerance": 1.0},
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    run, hidden = tmp_path / "run", [CANARY, *(drawn.series_uid(index) for index in range(8))]

    def leaks() -> list[str]:
        files = [file for place in (tmp_path / "out", run) for file in place.rglob("*") if file.is_file()]
        kinds.update(file.suffix for file in files)
        return [
            f"{word} in {file}"
            for file in files
            for said in (str(file.relative_to(tmp_path)).encode(), *texts(file))
            for word in hidden
            if word.encode() in said
        ]

    kinds: set[str] = set()
    assert run_chain.main(["prepare", str(tmp_path / "c.yaml"), str(tmp_path / "out"), "--workers", "1"]) == 0
    try:
        fault.arm("ckpt.digested@2@exc")
        assert run_chain.main(["run", str(tmp_path / "c.yaml"), str(run), "--threads", "1"]) == 70
    finally:
        fault.arm(None)
    assert not leaks()
    assert run_chain.main(["resume", str(run), "--threads", "1"]) == 0
    assert run_chain.main(["inspect", str(run), "--json"]) == 0
    assert not leaks()
    assert kinds >= {".ckpt", ".csv", ".log", ".safetensors", ".h5", ".parquet", ".json", ".jsonl", ".html", ".jpg"}
    assert any("tfevents" in path.name for path in run.rglob("*"))
    said = "".join(capfd.readouterr()) + caplog.text
    assert not [word for word in hidden if word in said]
