"""Sources that changed since the store was made are refused by name; moved and touched ones are not."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from data.errors import ChainError, ExitCode
from pipeline.directory.changed_sources import refuse_changed
from pipeline.directory.layout import Layout
from pipeline.directory.record import seal
from stages import ingest
from tests.conftest import order
from tests.fake_stages import config_in

PATCHES = np.random.default_rng(0).integers(0, 256, (12, 24, 24, 3), np.uint8)


def images(root: Path) -> None:
    for number, pixels in enumerate(PATCHES):
        path = root / "AB"[number % 2] / f"{number}.bmp"  # BMP: other pixels, same size
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def table(root: Path) -> None:
    images(root)
    rows = [
        f"{path.relative_to(root).as_posix()},{path.parent.name},p{path.stem}" for path in sorted(root.rglob("*.bmp"))
    ]
    (root / "m.csv").write_text("\n".join(["path,label,patient", *rows]) + "\n")


def arrays(root: Path) -> None:
    root.mkdir()
    with h5py.File(root / "x.h5", "w") as file:
        file["x"], file["y"] = PATCHES, np.arange(len(PATCHES)) % 2
    np.savez(root / "m.npz", train_images=PATCHES, train_labels=np.arange(len(PATCHES))[:, None] % 2)


MAKE: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder": (images, ""),
    "tree": (images, ""),
    "manifest": (table, "m.csv"),
    "hdf5": (arrays, "x.h5"),
    "npz": (arrays, "m.npz"),
}
FILES = [kind for kind, (make, _) in MAKE.items() if make is not arrays]


def stored(tmp_path: Path, kind: str) -> tuple[Path, Callable[[], None]]:
    """The source, and the question that `run` asks of it."""
    make, file = MAKE[kind]
    source = tmp_path / "source"
    make(source)
    text = (
        f"rounds: 0\ndata: {{size_px: 24, sources: [{{kind: {kind}, path: source/{file}}}]}}\nselect: {{rule: top_k}}"
    )
    config, layout = config_in(tmp_path, text), Layout(tmp_path / "run")
    job = order("ingest", "data/store", layout.root, config.data.model_dump(mode="json"), {})
    ingest.run(job)
    seal(job.out, "data/store", {"kind": "ingest"})
    return source, lambda: refuse_changed(layout, config)


def refused(ask: Callable[[], None]) -> ChainError:
    with pytest.raises(ChainError) as caught:
        ask()
    assert caught.value.code == ExitCode.MISMATCH
    assert "source main" in caught.value.what
    assert "run_chain.py resume " in caught.value.todo
    assert "--from data/store" in caught.value.todo
    return caught.value


@pytest.mark.parametrize("kind", MAKE)
def test_touched_copied_linked_and_absent_sources_raise_no_alarm(tmp_path: Path, kind: str) -> None:
    source, ask = stored(tmp_path, kind)
    ask()
    for year in (-1, 1):
        for path in [source, *source.rglob("*")]:
            about = path.stat()
            os.utime(path, (about.st_atime + year * 31_536_000, about.st_mtime + year * 31_536_000))
        ask()
    shutil.copytree(source, tmp_path / "other")
    shutil.rmtree(source)
    ask()  # the store holds its patches
    source.symlink_to(tmp_path / "other")
    ask()


@pytest.mark.parametrize("kind", MAKE)
def test_other_pixels_in_a_file_of_the_same_name_and_size_are_refused(tmp_path: Path, kind: str) -> None:
    source, ask = stored(tmp_path, kind)
    path = source / "A" / "0.bmp" if kind in FILES else source / MAKE[kind][1]
    before = path.stat()
    content = path.read_bytes()
    where = content.index(PATCHES[0, -1, :, ::-1].tobytes()) if kind in FILES else content.index(PATCHES[3].tobytes())
    path.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "files of it changed" in refused(ask).what
    path.write_bytes(content)
    ask()


CHANGES: dict[str, Callable[[Path], object]] = {
    "added": lambda source: shutil.copy(source / "A/0.bmp", source / "A/new.bmp"),
    "gone": lambda source: (source / "A/0.bmp").unlink(),
    "renamed": lambda source: (source / "A/0.bmp").rename(source / "A/other.bmp"),
    "another class": lambda source: (source / "A/0.bmp").rename(source / "B/0.bmp"),
}


COUNTS = {
    "added": ["1 added (A/new.bmp)"],
    "gone": ["1 gone (A/0.bmp)"],
    "renamed": ["1 added (A/other.bmp)", "1 gone (A/0.bmp)"],
    "another class": ["1 added (B/0.bmp)", "1 gone (A/0.bmp)"],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["folder", "tree"])
def test_files_that_come_and_go_are_refused(tmp_path: Path, kind: str, change: str) -> None:
    source, ask = stored(tmp_path, kind)
    CHANGES[change](source)
    said = refused(ask).what
    assert "lists other patches" in said
    for word in COUNTS[change]:
        assert word in said
    assert said.count("(") == len(COUNTS[change])


ANOTHER = "1 with another label, patient, slide, site or split (A/0.bmp)"


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        (",A,p0", ",B,p0", ANOTHER),
        (",A,p0", ",A,p9", ANOTHER),
        (",A,p0", ",,p0", ANOTHER),
        ("A/0.bmp,A,p0\n", "", "1 gone (A/0.bmp)"),
    ],
)
def test_rows_of_a_table_that_changed_are_refused(tmp_path: Path, old: str, new: str, count: str) -> None:
    source, ask = stored(tmp_path, "manifest")
    text = (source / "m.csv").read_text()
    (source / "m.csv").write_text(text.replace(old, new))
    assert refused(ask).what.endswith(f"lists other patches than when data/store was made: {count}")
    head, *rows = text.splitlines()
    (source / "m.csv").write_text("\n".join([head, *reversed(rows)]))
    ask()  # the order of rows means nothing


def test_what_lies_in_quarantine_has_not_come_anew_and_is_missed_when_it_goes(tmp_path: Path) -> None:
    make, _ = MAKE["folder"]
    make(tmp_path / "source")
    (tmp_path / "source/A/=broken.bmp").write_bytes(b"BM")
    text = (
        "rounds: 0\ndata: {size_px: 24, quarantine_limit: 0.5, sources: [{kind: folder, path: source}]}\n"
        "select: {rule: top_k}"
    )
    config, layout = config_in(tmp_path, text), Layout(tmp_path / "run")
    job = order("ingest", "data/store", layout.root, config.data.model_dump(mode="json"), {})
    ingest.run(job)
    seal(job.out, "data/store", {"kind": "ingest"})
    refuse_changed(layout, config)
    (tmp_path / "source/A/0.bmp").unlink()
    assert refused(lambda: refuse_changed(layout, config)).what.endswith(": 1 gone (A/0.bmp)")
    (tmp_path / "source/A/=broken.bmp").unlink()
    assert ": 2 gone (A/0.bmp)" in refused(lambda: refuse_changed(layout, config)).what


def test_a_store_of_an_older_program_that_knows_no_content_is_not_refused(tmp_path: Path) -> None:
    source, ask = stored(tmp_path, "folder")
    path = tmp_path / "run/data/store/sources.json"
    known = json.loads(path.read_text())
    del known["main"]["held_sha256"]
    path.write_text(json.dumps(known))
    seal(path.parent, "data/store", {"kind": "ingest"})
    (source / "A/0.bmp").write_bytes((source / "A/2.bmp").read_bytes())
    ask()
