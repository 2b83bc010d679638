"""QuPath's GeoJSON: polygons with a class, in level-0 pixels, every oddity refused by feature number.

A FeatureCollection, a bare Feature or a list of Features; Polygon and MultiPolygon with holes; the class in
`properties.classification.name` (or `.names`), else in `properties.name` (QuPath, "Exporting annotations"; RFC 7946).
In QuPath's own files, which know an `objectType`, the name of an object is no class.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from data.errors import ChainError, ExitCode
from data.patches.names import LONGEST_LABEL
from data.printable import shortened
from data.slides.regions import Region, polygon

MOST_BYTES = 48 << 20  # in memory up to 30 times as much
# what QuPath also writes: cells and the cores of a tissue array are no regions, and some things have no area.
# They are passed over, and counted in the facts
_NO_REGION = {"cell", "tma_core", "root"}
_WITHOUT_AREA = {"Point", "MultiPoint", "LineString", "MultiLineString"}


def read_geojson(path: Path) -> tuple[list[Region], int]:
    """Regions of one file in order, and the number of features passed over: cells, array cores, what has no area.

    Raises ChainError (65) naming file and feature (66: file missing).
    """
    regions: list[Region] = []
    passed = 0
    for number, feature in enumerate(_features(path, _parsed(path)), 1):
        place = f"feature {number}"
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            _refuse(path, place, f"it is {_kind(feature)}, not a Feature")
        geometry = feature.get("geometry")
        if geometry is None or _object_type(feature.get("properties")) in _NO_REGION:
            passed += 1
            continue
        if not isinstance(geometry, dict):
            _refuse(path, place, f"its geometry is {_kind(geometry)}")
        found = list(_shapes(path, place, geometry))
        label = _label(path, place, feature.get("properties"))
        passed += not found
        qupath = _qupath(feature)
        regions += [Region(label, shape, place, mended, qupath) for shape, mended in found]
    return regions, passed


def _parsed(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ChainError(
                f"{path} has {size:,} bytes",
                f"an annotation file has at most {MOST_BYTES:,}: is it an export of detections?",
                "export annotations only, or simplify them",
                ExitCode.BAD_DATA,
            )
        return json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_no_constant)
    except FileNotFoundError as error:
        raise ChainError(f"{path} is missing", "no file lies there", "correct the path", ExitCode.MISSING) from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"it is not UTF-8: {error.reason} at byte {error.start:,}") from error
    except RecursionError as error:
        raise _unreadable(path, "its brackets are nested too deeply") from error
    except json.JSONDecodeError as error:
        raise _unreadable(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except ValueError as error:  # a constant that JSON does not know, or a number of thousands of digits
        raise _unreadable(path, str(error)[:200]) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _features(path: Path, content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "Feature":
        return [content]
    features = content.get("features") if kind == "FeatureCollection" else None
    if not isinstance(features, list):
        raise _unreadable(path, "it is no FeatureCollection, Feature or list of Features")
    return features


def _shapes(path: Path, place: str, geometry: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if isinstance(kind, str) and kind in _WITHOUT_AREA:
        return
    if kind not in ("Polygon", "MultiPolygon"):
        _refuse(path, place, f"its geometry is {_kind(kind)}; Polygon and MultiPolygon are read")
    if not isinstance(coordinates, list):
        _refuse(path, place, f"its coordinates are {_kind(coordinates)}")
    for rings in coordinates if kind == "MultiPolygon" else [coordinates]:
        if not isinstance(rings, list) or not rings:
            _refuse(path, place, "a polygon is a list of rings, the outline first")
        checked = [_ring(path, place, ring) for ring in rings]
        try:
            shape, mended = polygon(checked[0], checked[1:])
        except ValueError as error:
            _refuse(path, place, str(error))
        if not shape.is_empty:
            yield shape, mended


def _ring(path: Path, place: str, ring: Any) -> list[tuple[float, float]]:
    if not isinstance(ring, list):
        _refuse(path, place, f"a ring is {_kind(ring)}, not a list of points")
    points = []
    for point in ring:
        if type(point) is not list or not 2 <= len(point) <= 4:
            _refuse(path, place, f"a point is {_kind(point)}, not [x, y]")
        x, y = point[:2]
        # type(): a bool is an int to isinstance
        if type(x) not in (int, float) or type(y) not in (int, float):
            _refuse(path, place, f"a point is [{_kind(x)}, {_kind(y)}], not two numbers")
        try:
            at = float(x), float(y)
        except OverflowError:
            at = math.inf, math.inf
        if not (math.isfinite(at[0]) and math.isfinite(at[1])):
            _refuse(path, place, "a coordinate is not finite")
        points.append(at)
    return points


def _label(path: Path, place: str, properties: Any) -> str:
    if properties is None:
        return ""
    if not isinstance(properties, dict):
        _refuse(path, place, f"its properties are {_kind(properties)}")
    said = properties.get("classification")
    if isinstance(said, dict):
        names = said.get("names")
        # derived classes ("Tumor: Positive"): newer versions write them as a list
        said = said.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else None)
    label = said if said is not None or _object_type(properties) else properties.get("name")
    if label is None:
        return ""
    if not isinstance(label, str):
        _refuse(path, place, f"its class is {_kind(label)}, not a text")
    label = label.strip()
    if len(label) > LONGEST_LABEL or any(not c.isprintable() for c in label):
        _refuse(path, place, f"its class {shortened(label)!r} is too long, or holds a control character")
    return label


def _object_type(properties: Any) -> str:
    said = properties.get("objectType") if isinstance(properties, dict) else None
    return said if isinstance(said, str) else ""


def _qupath(feature: dict[str, Any]) -> bool:
    # before 0.3 it wrote the class of its object as the id, and no objectType
    said = feature.get("id")
    return bool(_object_type(feature.get("properties"))) or (isinstance(said, str) and said.startswith("Path"))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "nothing", int: "a number"}
    if isinstance(value, str):
        return f"the text {shortened(value, 40)!r}"
    return names.get(type(value), "a number")


def _refuse(path: Path, place: str, why: str) -> NoReturn:
    raise ChainError(f"{path}: {place} is refused", why, "correct or remove it, or export the annotations again",
                     ExitCode.BAD_DATA)  # fmt: skip


def _unreadable(path: Path, why: str) -> ChainError:
    return ChainError(f"{path} is not readable as GeoJSON", why, "export it again: QuPath, File, Export objects as "
                      "GeoJSON, uncompressed", ExitCode.BAD_DATA)  # fmt: skip
