import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.prepare import previews as module
from stages.prepare.previews import Previews, preview


@pytest.fixture
def thumbnail(tmp_path: Path) -> Path:
    ramp = np.linspace(0, 255, 800 * 600).reshape(600, 800).astype("u1")
    Image.fromarray(np.dstack([ramp, ramp.T[:600, :600].repeat(2, 1)[:, :800], ramp])).save(tmp_path / "t.jpg")
    return tmp_path / "t.jpg"


def test_a_preview_keeps_shape_and_look_within_its_budget(thumbnail: Path) -> None:
    written = preview(thumbnail, 48 << 10)
    assert written is not None
    assert len(written) <= 48 << 10
    small = Image.open(io.BytesIO(written))
    assert small.size == (480, 360)
    full = np.asarray(Image.open(thumbnail).resize((480, 360), Image.Resampling.BOX), np.float64)
    assert np.abs(np.asarray(small, np.float64) - full).mean() < 4


def test_a_smaller_budget_gives_a_smaller_picture_and_then_none(thumbnail: Path) -> None:
    written = preview(thumbnail, 3000)
    assert written is not None
    assert len(written) <= 3000
    assert preview(thumbnail, 100) is None


def test_what_cannot_be_read_is_left_out(tmp_path: Path, thumbnail: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(thumbnail.read_bytes()[:50])
    (tmp_path / "png.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = Previews(4, 2).of([tmp_path / "none.jpg", tmp_path / "cut.jpg", tmp_path / "png.jpg", thumbnail])
    assert [small is None for small in found] == [True, True, True, False]


def test_all_together_never_exceed_the_page(thumbnail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_BYTES", 20_000)
    monkeypatch.setattr(module, "ROW_BYTES", 100)
    paths = [thumbnail.with_name(f"{i}.jpg") for i in range(50)]
    for path in paths:
        path.hardlink_to(thumbnail)
    drawn = Previews(50, 2)
    first = drawn.of(paths[:2])
    found = drawn.of(paths)
    assert found[:2] == first
    assert len(found) == 50
    assert 0 < sum(len(small) for small in found if small) <= 20_000 - 50 * 100
