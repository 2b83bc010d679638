"""Damaged slides give refusals, quarantined patches or patches: never a traceback, a crash or a wait."""

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from data.errors import ChainError
from data.preparation import Refusal
from tests.data.wsi.tiny_tiff import picture, write_tiff

CASES = 60
LIMIT_S = 30  # of a loaded machine; alone a case takes a twentieth of a second
GOOD, REFUSED, TRACEBACK = 0, 1, 2


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> list[bytes]:
    path = tmp_path_factory.mktemp("originals") / "a.tif"
    found = []
    for kind in ({}, {"tables": True, "subsampling": "420"}, {"rgb": True, "tables": True}):
        level0 = picture(260, 200)
        write_tiff(path, [level0, level0[::4, ::4]], 0.5, **kind)
        found.append(path.read_bytes())
    return found


def mutated(original: bytes, rng: random.Random) -> bytes:
    content, tags = bytearray(original), max(0, len(original) - 3000)  # directories are written last
    match rng.randrange(5):
        case 0:
            del content[rng.randrange(len(content)) :]
        case 1:
            for _ in range(rng.randrange(1, 20)):
                content[rng.randrange(len(content))] = rng.randrange(256)
        case 2:
            for _ in range(rng.randrange(1, 8)):
                content[rng.randrange(tags, len(content))] = rng.choice([0, 127, 128, 255, rng.randrange(256)])
        case 3:
            at = rng.randrange(len(content))
            end = min(len(content), at + rng.randrange(1, 5000))
            content[at:end] = bytes(end - at)
        case 4:
            at = rng.randrange(tags, len(content) - 4)
            content[at : at + 4] = rng.choice([b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\0\0\0\x80", b"\1\0\0\0"])
    return bytes(content)


@pytest.mark.parametrize("seed", range(3))
def test_only_refusals_come_of_damaged_slides(originals, slides_config, tmp_path, seed):
    rng = random.Random(seed)
    outcomes = []
    # a process of its own, started anew: a crash of the library is found and is not ours, and no thread of OpenCV
    # that a fork would leave behind is waited for
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        for case in range(CASES // 3):
            path = tmp_path / f"{case}.tif"
            path.write_bytes(mutated(rng.choice(originals), rng))
            config = slides_config(path, quarantine_limit=0.5)
            outcomes.append(child.submit(outcome, config, tmp_path / f"{case}").result(LIMIT_S))
    assert TRACEBACK not in outcomes
    assert GOOD in outcomes
    assert REFUSED in outcomes


def outcome(config, out: Path) -> int:
    try:
        (unit,) = config.units(b"")
        if isinstance(unit, Refusal):
            return REFUSED
        out.mkdir()
        config.prepare(unit, out, 2, lambda done, total: None, b"")
    except ChainError:
        return REFUSED
    except BaseException:  # noqa: BLE001 whatever it is, the parent must hear of it
        return TRACEBACK
    return GOOD
