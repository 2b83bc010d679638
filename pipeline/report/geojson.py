"""Pseudo-labels for QuPath: a GeoJSON file a slide, in level-0 pixels (File, Import objects from file)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.atomic import replacing
from pipeline.report.palette import COLOURS
from pipeline.report.places import SLIDE, Places
from pipeline.report.run import Round, Run

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_STEM = 80


def write_geojson(run: Run, now: Round, found: Places, directory: Path) -> dict[int, Path]:
    """One FeatureCollection a slide with every kept patch of the round; slide code -> file. None of a CT volume.

    A feature is a square named by its patch id, classified by its pseudo-label, with its confidence, weight and first
    round as measurements. Equal rounds give equal bytes.
    """
    if found.kind != SLIDE:
        return {}
    directory.mkdir(parents=True, exist_ok=True)
    classes = [_classification(name, code) for code, name in enumerate(run.classes)]
    at = _places_of(run, now, found)
    placed = np.flatnonzero(at >= 0)
    order = placed[np.lexsort((now.selection.ids[placed], found.slide[at[placed]]))]
    slides = found.slide[at[order]]
    files: dict[int, Path] = {}
    taken: set[str] = set()
    for code in np.unique(slides):
        rows = order[np.searchsorted(slides, code) : np.searchsorted(slides, code, side="right")]
        path = directory / f"{_stem(run.slides.names[int(code)], int(code), taken)}.geojson"
        with replacing(path) as part, part.open("w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [\n')
            file.write(",\n".join(_feature(now, found, int(row), int(at[row]), classes) for row in rows))
            file.write("\n]}\n")
        files[int(code)] = path
    return files


def _places_of(run: Run, now: Round, found: Places) -> np.ndarray:
    """(M,) index into the places of each row of the selection, -1 where it has none."""
    index = np.full(len(run.store), -1, np.int64)
    index[found.row] = np.arange(len(found.row))
    at: np.ndarray = index[now.rows[now.kept_rows]]
    return at


def _feature(now: Round, found: Places, row: int, at: int, classes: Sequence[str]) -> str:
    chosen = now.selection
    x0, y0 = float(found.x[at]), float(found.y[at])
    x1, y1 = x0 + float(found.side[at]), y0 + float(found.side[at])
    # written out by hand: json.dumps of half a million of these takes minutes
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
    ring = ",".join(f"[{x:.10g},{y:.10g}]" for x, y in corners)
    return (
        f'{{"type":"Feature","id":"{_uuid(int(chosen.ids[row]), int(chosen.label[row]))}",'
        f'"geometry":{{"type":"Polygon","coordinates":[[{ring}]]}},'
        f'"properties":{{"objectType":"detection","name":"{int(chosen.ids[row]):016x}",'
        f'"classification":{classes[int(chosen.label[row])]},'
        f'"measurements":{{"confidence":{float(chosen.confidence[row]):.6g},'
        f'"weight":{float(chosen.weight[row]):.6g},"first round":{int(chosen.first_round[row])}}}}}}}'
    )


def _uuid(patch_id: int, label: int) -> str:
    # QuPath wants a UUID: ours is the patch id and its label, so that importing twice is importing the same
    text = f"{patch_id:016x}{label:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _classification(name: str, code: int) -> str:
    return json.dumps({"name": name, "color": list(COLOURS[code % len(COLOURS)])})


def _stem(name: str, code: int, taken: set[str]) -> str:
    """A file name of a slide: its own where that is safe and unlike all others, else with its number."""
    safe = _UNSAFE.sub("_", name).strip("._")[:LONGEST_STEM]
    if safe != name or safe.lower() in taken:
        safe = f"{safe or 'slide'}-{code}"
    taken.add(safe.lower())
    return safe
