"""Handles are few, shared, and never stay broken."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest

from data.errors import ChainError, ExitCode
from data.pixels.bad_patch import BadPatch
from data.wsi import handles as module
from data.wsi.handles import Handles
from tests.data.wsi.tiny_tiff import picture, write_tiff


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.tif" for i in range(6)]
    for i, path in enumerate(paths):
        write_tiff(path, [picture(192, 192, seed=i)], 0.5)
    return paths


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of slides as they are opened."""
    names: list[str] = []
    really = module.open_slide

    def counting(path: Path, cache: openslide.OpenSlideCache | None = None) -> openslide.OpenSlide:
        names.append(path.name)
        return really(path, cache)

    monkeypatch.setattr(module, "open_slide", counting)
    return names


def corner(handle: openslide.OpenSlide) -> bytes:
    return handle.read_region((0, 0), 0, (32, 32)).tobytes()


def test_a_slide_is_opened_once_and_the_least_recently_used_is_let_go(slides, opened):
    pool = Handles(most=3)
    for i in (0, 1, 2, 0, 3):
        pool.read(slides[i], corner)
        assert len(pool) <= 3
    assert opened == ["0.tif", "1.tif", "2.tif", "3.tif"]
    pool.read(slides[0], corner)  # used after 1
    assert len(opened) == 4
    pool.read(slides[1], corner)
    assert len(opened) == 5


def test_many_threads_share_few_handles_and_read_what_one_would(slides):
    pool = Handles(most=2)
    alone = {path: Handles().read(path, corner) for path in slides}
    with ThreadPoolExecutor(8) as threads:
        jobs = [(path, threads.submit(pool.read, path, corner)) for path in slides * 20]
        assert all(job.result() == alone[path] for path, job in jobs)
    assert len(pool) <= 2


def test_a_bad_tile_is_bad_alone_whoever_else_reads(tmp_path):
    """OpenSlide's handle gives its first error to every thread for ever after."""
    path = tmp_path / "a.tif"
    tiles = write_tiff(path, [picture(512, 512)], 0.5)
    whole = bytearray(path.read_bytes())
    for number in (9, 30):
        at, length = tiles[number]
        whole[at : at + length] = bytes(length)
    path.write_bytes(whole)
    pool = Handles()

    def tile(number: int) -> bool:
        y, x = divmod(number, 8)
        try:
            pool.read(path, lambda handle: handle.read_region((x * 64, y * 64), 0, (64, 64)))
        except BadPatch:
            return False
        return True

    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            good = list(threads.map(tile, range(64)))
        assert [number for number in range(64) if not good[number]] == [9, 30]


def test_alone_an_error_is_ones_own_and_costs_one_opening(tmp_path, opened):
    tiles = write_tiff(tmp_path / "a.tif", [picture(128, 128)], 0.5)
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    at, length = tiles[0]
    whole[at : at + length] = bytes(length)
    (tmp_path / "a.tif").write_bytes(whole)
    pool = Handles()
    for done in range(1, 4):
        with pytest.raises(BadPatch):
            pool.read(tmp_path / "a.tif", corner)
        assert len(opened) == done


def test_a_forked_child_opens_its_own(slides, opened):
    pool = Handles()
    expected = pool.read(slides[0], corner)
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with pool._lock:  # as a thread might at the moment of the fork
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        same = pool.read(slides[0], corner) == expected
        os._exit(0 if same and len(opened) == 2 else 1)
    release.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert len(opened) == 1


def test_a_slide_replaced_under_its_name_is_opened_anew(slides):
    pool = Handles()
    first = pool.read(slides[0], corner)
    slides[1].replace(slides[0])
    assert pool.read(slides[0], corner) != first


@pytest.mark.parametrize(
    ("content", "code"), [(None, ExitCode.MISSING), (b"", ExitCode.BAD_DATA), (b"not a slide", ExitCode.BAD_DATA)]
)
def test_what_is_no_slide_is_refused_by_name(tmp_path, content, code):
    path = tmp_path / "x.svs"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ChainError, match=r"x\.svs") as caught:
        Handles().read(path, corner)
    assert caught.value.code == code


def test_a_pipe_with_a_slides_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.svs")
    with pytest.raises(ChainError, match=r"x\.svs"):
        Handles().read(tmp_path / "x.svs", corner)


def test_arrays_read_are_independent_of_the_handle(slides):
    pool = Handles(most=1)
    first = pool.read(slides[0], lambda handle: np.asarray(handle.read_region((0, 0), 0, (64, 64))))
    kept = first.copy()
    pool.read(slides[1], corner)
    pool.close()
    assert np.array_equal(first, kept)
