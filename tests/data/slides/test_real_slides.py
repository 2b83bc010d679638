"""Real slides, where they lie beside the project (or where PATCHCHAIN_DATA says): never shipped, never needed."""

import os
import time
from pathlib import Path

import numpy as np
import openslide
import pytest

from data.preparation import Refusal, Unit
from data.store.patch_store import PatchStore

DATA = Path(os.environ.get("PATCHCHAIN_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
WSI = DATA / "wsi"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not WSI.is_dir(), reason=f"no real slides in {WSI}")]
CMU, TCGA = "cmu-1-small-region.svs", "tcga-cr-7395-01a-01-ts1.svs"


def test_what_cannot_be_prepared_is_known_before(slides_config):
    found = {one.shown: one for one in slides_config(WSI, size_px=224).units(b"")}
    assert isinstance(found[CMU], Unit)
    assert isinstance(found["broken.svs"], Refusal)
    assert found["broken.svs"].error.code == 65
    assert isinstance(found[TCGA], Refusal)
    assert "missing_mpp" in found[TCGA].error.todo
    stated = {one.shown: one for one in slides_config(WSI, size_px=224, missing_mpp=0.25).units(b"")}
    assert isinstance(stated[TCGA], Unit)
    assert isinstance(stated["broken.svs"], Refusal)


def test_the_cmu_slide_gives_its_patches(slides_config, prepared):
    """2,220 x 2,967 px at 0.499 um/px hold 9 x 13 patches of 224 px; 52 of them have half their area on tissue."""
    started = time.monotonic()
    out, facts = prepared(slides_config(WSI, pattern=CMU, size_px=224, tissue={}), threads=2)
    assert time.monotonic() - started < 20
    assert facts["slide_mpp"] == facts["mpp"] == 0.499
    assert facts["route"] == "tiles"
    assert 45 <= facts["patches"] <= 60
    assert facts["quarantined"] == 0
    everything = prepared(slides_config(WSI, pattern=CMU, size_px=224), name="all")[1]
    assert everything["patches"] == 9 * 13
    store = PatchStore(out / "patches.h5")
    raw = prepared(slides_config(WSI, pattern=CMU, size_px=224, tissue={}, encoding="raw"), name="raw")[0]
    with openslide.OpenSlide(WSI / CMU) as slide:
        exact = PatchStore(raw / "patches.h5")
        for row in range(len(exact)):
            at = tuple(int(exact.numbers[name][row]) for name in ("x_px", "y_px"))
            expected = np.asarray(slide.read_region(at, 0, (224, 224)).convert("RGB"))
            assert np.array_equal(exact.pixels(row), expected)
            assert np.abs(store.pixels(row).astype(int) - expected).mean() < 2


def test_patches_that_are_its_tiles_keep_their_bytes(slides_config, prepared):
    out, facts = prepared(slides_config(WSI, pattern=CMU, size_px=240, mpp=0.499))
    store = PatchStore(out / "patches.h5")
    assert facts["patches"] == 9 * 12
    # the slide's own tiles, of quality 30, are a fraction of anything encoded anew
    assert len(store._open()["bytes"]) < 1.5 * 1276120


def test_the_tcga_slide_works_once_its_resolution_is_stated(slides_config, prepared):
    config = slides_config(WSI, pattern="tcga*", size_px=224, missing_mpp=0.25, tissue={})
    facts = prepared(config, threads=2)[1]
    assert facts["mpp_from"] == "missing_mpp"
    assert facts["level"] == 1
    assert facts["mpp"] == pytest.approx(0.5, rel=0.01)
    assert 40 <= facts["patches"] <= 55
