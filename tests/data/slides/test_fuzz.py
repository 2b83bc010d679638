"""Damaged annotation and coordinate files: every one is refused in words or read; nothing else ever escapes."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ChainError
from data.slides.annotations import AnnotationsConfig, load_annotations
from data.slides.foreign_coords import read_coordinates
from tests.data.slides.test_foreign_coords import LEVELS, SIZE, _clam, _trident

TOKENS = [
    b"NaN",
    b"null",
    b"-1e999",
    b"{}",
    b"[]",
    b'"',
    b",",
    b"[[[[",
    b"\x00",
    b"\xff",
    b"true",
    b"99999999999999999999",
]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One to four edits: flipped, cut, doubled, swapped in or zeroed stretches."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice([1, 2, 8, 64])
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at : at + length] = rng.choice(TOKENS)
            case 4:
                data[at : at + length] = bytes(min(length, len(data) - at))
            case _:
                del data[at : at + length]
    return bytes(data)


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, or its refusal. Anything else it raises fails the test."""
    try:
        return call()
    except ChainError as refusal:
        return refusal


def _geojson() -> bytes:
    ring = [[10.5, 20], [500, 30], [700, 800.25], [20, 600], [10.5, 20]]
    hole = [[100, 100], [150, 100], [150, 150], [100, 100]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"objectType": "annotation", "classification": {"name": "Tumor", "color": [1, 2, 3]}},
        }
        for kind, coordinates in (("Polygon", [ring, hole]), ("MultiPolygon", [[ring], [hole]]))
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def _csv() -> bytes:
    rows = "".join(f"s.svs,{i * 10},{i * 5},{100 + i},50.5,Tumor {i % 2}\n" for i in range(8))
    return f"slide,x,y,width,height,label\n{rows}".encode()


@pytest.mark.parametrize(("name", "content"), [("s.geojson", _geojson()), ("s.csv", _csv()), ("all.csv", _csv())])
def test_damaged_annotations_are_refused_in_words_or_read(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    at = path if name == "all.csv" else tmp_path
    config = AnnotationsConfig.model_validate_json(json.dumps({"path": str(at)}))
    refused = 0
    for seed in range(150):
        path.write_bytes(mutated(content, random.Random(seed)))
        found = outcome(lambda: load_annotations(config, "s.svs", SIZE, 0.5))
        if isinstance(found, ChainError):
            refused += 1
            assert name in found.what
        else:
            assert all(np.isfinite(shape.bounds).all() and shape.area > 0 for shape in found.shapes.values())
    assert 20 < refused < 150  # the fuzz bites, and not always


@pytest.mark.parametrize("write", [_clam, _trident])
def test_damaged_coordinates_are_refused_in_words_or_lie_on_the_slide(tmp_path: Path, write) -> None:
    path = write(tmp_path / "s.h5", [[256 * i, 512 * (i % 3)] for i in range(12)])
    content = path.read_bytes()
    refused = 0
    for seed in range(150):
        path.write_bytes(mutated(content, random.Random(seed)))
        found = outcome(lambda: read_coordinates(path, SIZE, LEVELS))
        if isinstance(found, ChainError):
            refused += 1
            assert path.name in found.what
        else:
            assert (found.xy_px >= 0).all()
            assert (found.xy_px + found.side_px <= np.array(SIZE)).all()
    assert refused > 50
