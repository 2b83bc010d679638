"""The set `drawn`, which needs no data: H&E-like patches of forty patients, five tissues, drawn by the program."""

import csv
import io
from pathlib import Path

from PIL import Image

from data.files.atomic import write_bytes
from data.readers.synthetic import Synthetic

DRAWN = "drawn"
PATIENTS, EACH = 40, 150


def drawn(folder: Path) -> Path:
    """The manifest of the set in `folder`, drawn unless it lies there whole."""
    path = folder / "manifest.csv"
    if path.is_file():
        return path
    reader = Synthetic(patients=PATIENTS, patches_per_patient=EACH)
    table = io.StringIO()
    out = csv.writer(table)
    out.writerow(["path", "label", "patient"])
    for record in reader.records():
        file = folder / f"{record.key}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(reader.content(record)).save(file)
        out.writerow([f"{record.key}.png", record.label, record.patient])
    write_bytes(path, table.getvalue().encode())  # last: it says that all are there
    return path
