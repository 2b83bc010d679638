"""What is written is what OpenSlide and tifffile read: levels, resolution, pixels; and equal pixels are equal bytes."""

from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import simplejpeg
import tifffile

from data.synthetic.tiled_tiff import Level, pyramid, stream_tiled_tiff, write_tiled_tiff


def picture(height: int, width: int) -> np.ndarray:
    """Smooth colours, so that JPEG loses little."""
    coarse = np.random.default_rng(0).integers(0, 255, (6, 6, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("size", [(512, 768), (611, 403)])
def test_openslide_reads_levels_resolution_and_pixels(tmp_path: Path, size: tuple[int, int], subsampling: str) -> None:
    levels = pyramid(picture(*size), 3)
    path = tmp_path / "a.tif"
    write_tiled_tiff(path, levels, mpp=0.5, tile_px=128, quality=95, subsampling=subsampling)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5, rel=1e-6)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5, rel=1e-6)
        assert slide.level_dimensions == tuple((level.shape[1], level.shape[0]) for level in levels)
        for index, level in enumerate(levels):
            shown = np.asarray(slide.read_region((0, 0), index, slide.level_dimensions[index]).convert("RGB"))
            assert np.abs(shown.astype(int) - level).max() <= 12
            assert np.abs(shown.astype(int) - level).mean() < 1.5


def test_a_tile_is_the_jpeg_of_its_own_pixels(tmp_path: Path) -> None:
    level = picture(256, 256)
    path = tmp_path / "a.tif"
    write_tiled_tiff(path, [level], mpp=0.25, tile_px=128, quality=80)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        assert isinstance(page, tifffile.TiffPage)
        raw = path.read_bytes()[page.dataoffsets[3] :][: page.databytecounts[3]]
    corner = np.ascontiguousarray(level[128:, 128:])
    assert raw == simplejpeg.encode_jpeg(corner, 80, colorspace="RGB", colorsubsampling="444")


def test_streamed_strips_give_the_bytes_of_the_whole(tmp_path: Path) -> None:
    levels = pyramid(picture(300, 200), 2)
    asked: list[tuple[int, int]] = []

    def strip(level: np.ndarray, top: int, height: int) -> np.ndarray:
        asked.append((top, height))
        return level[top : top + height]

    drawn = [Level(a.shape[1], a.shape[0], lambda top, height, a=a: strip(a, top, height)) for a in levels]
    stream_tiled_tiff(tmp_path / "b.tif", drawn, mpp=0.5, tile_px=128)
    write_tiled_tiff(tmp_path / "a.tif", levels, mpp=0.5, tile_px=128)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert asked == [(0, 128), (128, 128), (256, 44), (0, 128), (128, 22)]


def test_without_a_resolution_openslide_knows_none(tmp_path: Path) -> None:
    write_tiled_tiff(tmp_path / "a.tif", [picture(128, 128)], mpp=None, tile_px=128)
    with openslide.OpenSlide(tmp_path / "a.tif") as slide:
        assert "openslide.mpp-x" not in slide.properties
