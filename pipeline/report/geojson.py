"""Pseudo-labels for QuPath: a GeoJSON file a slide, in level-0 pixels (File, Import objects from file)."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from data.files.atomic import replacing
from pipeline.report.palette import COLOURS
from pipeline.report.places import SLIDE, Places
from pipeline.report.run import Run
from stages.select.selection import Selection

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_STEM = 80


def write_geojson(run: Run, chosen: Selection, found: Places, directory: Path) -> dict[int, Path]:
    """One FeatureCollection a slide with every patch of a selection; slide code -> file. None of a CT volume.

    A feature is a square named by its patch id, classified by its pseudo-label, with its confidence, weight and first
    round as measurements. Equal rounds give equal bytes.
    """
    if found.kind != SLIDE:
        return {}
    directory.mkdir(parents=True, exist_ok=True)
    at = _places_of(run, chosen, found)
    placed = np.flatnonzero(at >= 0)
    order = placed[np.lexsort((chosen.ids[placed], found.slide[at[placed]]))]
    slides = found.slide[at[order]]
    files: dict[int, Path] = {}
    taken: set[str] = set()
    for code in np.unique(slides):
        rows = order[np.searchsorted(slides, code) : np.searchsorted(slides, code, side="right")]
        path = directory / f"{_stem(run.slides.names[int(code)], int(code), taken)}.geojson"
        with replacing(path) as part, part.open("w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [\n')
            file.write(",\n".join(_features(chosen, found, rows, at[rows], run.classes)))
            file.write("\n]}\n")
        files[int(code)] = path
    for old in set(directory.glob("*.geojson")) - set(files.values()):
        old.unlink()  # of an earlier report: nothing on that slide is kept any more
    return files


def _places_of(run: Run, chosen: Selection, found: Places) -> np.ndarray:
    """(M,) index into the places of each row of the selection, -1 where it has none."""
    index = np.full(len(run.store), -1, np.int64)
    index[found.row] = np.arange(len(found.row))
    at: np.ndarray = index[run.store.rows(chosen.ids)]
    return at


def _features(
    chosen: Selection, found: Places, rows: np.ndarray, at: np.ndarray, names: Sequence[str]
) -> Iterator[str]:
    """A feature for each of these rows of the selection, which lie at the places `at`: both (K,)."""
    classes = [_classification(name, code) for code, name in enumerate(names)]
    x, y, side = (column[at].astype(np.float64) for column in (found.x, found.y, found.side))
    edges = [column.tolist() for column in (x, y, x + side, y + side)]
    own = [
        column[rows].tolist()
        for column in (chosen.ids, chosen.label, chosen.confidence, chosen.weight, chosen.first_round)
    ]
    # written out by hand, from plain numbers: json.dumps of half a million of these takes minutes
    for x0, y0, x1, y1, one, label, confidence, weight, first in zip(*edges, *own, strict=True):
        left, top, right, bottom = f"{x0:.10g}", f"{y0:.10g}", f"{x1:.10g}", f"{y1:.10g}"
        yield (
            f'{{"type":"Feature","id":"{_uuid(one, label)}","geometry":{{"type":"Polygon","coordinates":'
            f"[[[{left},{top}],[{right},{top}],[{right},{bottom}],[{left},{bottom}],[{left},{top}]]]}},"
            f'"properties":{{"objectType":"detection","name":"{one:016x}","classification":{classes[label]},'
            f'"measurements":{{"confidence":{confidence:.6g},"weight":{weight:.6g},"first round":{first}}}}}}}'
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
