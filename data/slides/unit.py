"""One slide to a patch store: tissue found, grid laid, patches labelled, read, measured, stored, shown."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg

from data.atomic import write_bytes
from data.bad_patch import BadPatch
from data.decode import decode_jpeg, pixel_digest
from data.errors import ChainError, ExitCode
from data.in_order import CHUNK, in_order
from data.ingest import patch_id
from data.preparation import QUARANTINE, STORE, THUMBNAIL, Progress, Unit
from data.quarantine import Quarantined, write_quarantine
from data.readers.base import Record
from data.reference import Reference
from data.slides.annotations import Annotations, load_annotations
from data.slides.config import SlidesConfig
from data.slides.foreign_coords import ForeignCoordinates
from data.slides.grid import lay, tissue_shares
from data.slides.labelling import label_patches
from data.slides.listing import Listed, listed_again, plan_of
from data.slides.order import reading_order
from data.slides.pictures import picture
from data.slides.plan import ReadPlan
from data.slides.quality import measure, unkept
from data.slides.reading import SlideReader
from data.slides.thumbnail import Thumbnail, read_thumbnail
from data.slides.tissue import segment
from data.store_writer import writing_store

SOURCE, PART = "slides", "split"
# once over the limit the slide is certain to fail, and each further failure may open it anew
ENOUGH_BAD = 200
TASK_PX = 16 * 512 * 512  # pixels of a task: results wait in memory


class Place(NamedTuple):
    """One patch before it is read. x_px, y_px: level-0 top-left; tissue: share on the thumbnail."""

    x_px: int
    y_px: int
    tissue: float
    label: str

    @property
    def key(self) -> str:
        """Its name in the slide."""
        return f"x{self.x_px:06d}_y{self.y_px:06d}"


class _Taken(NamedTuple):
    content: bytes | np.ndarray | Reference
    digest: tuple[int, int]
    record: Record
    left_out: str  # the column for which it is not kept, "" for a patch to keep


def prepare_slide(config: SlidesConfig, unit: Unit, out: Path, threads: int, progress: Progress) -> dict[str, Any]:
    """Write patches.h5, quarantine.csv and thumbnail.jpg of one slide; returns its facts.

    Raises ChainError: what listing raises, no tissue, nothing kept, too many in quarantine.
    """
    cv2.setNumThreads(1)  # the threads are ours: those of OpenCV would only stand in their way
    one = listed_again(config, unit.shown)
    plan, cut = plan_of(config, one)
    thumbnail = read_thumbnail(one.info, config.tissue.thumbnail_mpp, lambda: progress(0, 0))
    # what could not be read may be tissue: its patches are listed, tried, and named in the quarantine table
    mask = segment(thumbnail.pixels, thumbnail.mpp, config.tissue) | thumbnail.unread
    progress(0, 0)
    annotations = _annotations(config, one)
    places = _places(config, one, plan, cut, thumbnail, mask, annotations)
    reader = SlideReader(one.info.path, plan)
    take = _Taker(config, one, reader)
    bad: list[Quarantined] = []
    kept: list[Place] = []
    left_out: Counter[str] = Counter()
    with writing_store(out / STORE, "rgb8", config.size_px) as writer:
        chunk = max(1, min(CHUNK, TASK_PX // config.size_px**2))
        results = in_order(places, take, threads, chunk)
        for done, (place, taken) in enumerate(results, 1):
            if isinstance(taken, BadPatch):
                bad.append(Quarantined(SOURCE, place.key, taken.reason))
            elif taken.left_out:
                left_out[taken.left_out] += 1
            else:
                writer.add(patch_id(SOURCE, place.key), taken.record, SOURCE, PART, taken.digest, taken.content)
                kept.append(place)
            if done % chunk == 0 or done == len(places):
                progress(done, len(places))
            if len(bad) >= ENOUGH_BAD and len(bad) > config.quarantine_limit * len(places):
                results.close()
                break
        write_quarantine(out / QUARANTINE, bad)
        _check(config, unit, len(places), bad, left_out)
        labels = Counter(place.label for place in kept)
        unlabelled = labels.pop("", 0)
        writer.classes = tuple(sorted(labels))
    at = np.array([place[:2] for place in kept], np.int64).reshape(-1, 2)
    drawn = picture(thumbnail.pixels, thumbnail.downsample[0], mask, at, plan.side_px,
                    [place.label for place in kept], annotations)  # fmt: skip
    write_bytes(out / THUMBNAIL, drawn)
    return {
        "patches": len(kept),
        "quarantined": len(bad),
        "left_out": dict(sorted(left_out.items())),
        "labels": dict(sorted(labels.items())),
        "unlabelled": unlabelled,
        "tissue_mm2": round(float(mask.mean()) * _area_mm2(one), 4),
        "mpp": round(plan.mpp, 6),
        **_slide_facts(one, plan, reader),
        **({"annotations": annotations.facts} if annotations is not None else {}),
        **({"coordinates": {"tool": cut.tool, **cut.facts}} if cut is not None else {}),
        **({"thumbnail_unread": round(float(thumbnail.unread.mean()), 6)} if thumbnail.unread.any() else {}),
    }


class _Taker:
    """Reads, measures and encodes one patch; called from several threads."""

    def __init__(self, config: SlidesConfig, one: Listed, reader: SlideReader) -> None:
        self._config, self._one, self._reader = config, one, reader

    def __call__(self, place: Place) -> _Taken:
        """Raises BadPatch for one that cannot be read."""
        config, one = self._config, self._one
        pixels = self._reader.patch(place.x_px, place.y_px)
        numbers = {"x_px": float(place.x_px), "y_px": float(place.y_px), "mpp": self._reader.plan.mpp,
                   "tissue": place.tissue}  # fmt: skip
        left_out = None
        if config.quality.measure:
            quality = measure(pixels)._asdict()
            left_out = unkept(quality, config.quality.keep)
            # the thumbnail's tissue share laid the grid; the patch's own is what a filter looks at
            numbers |= quality
        row = one.row
        record = Record(place.key, place.label, one.patient, one.slide, row.site, row.split, numbers)
        if left_out is not None:
            return _Taken(b"", (0, 0), record, left_out)
        content, stored = self._content(place, pixels)
        return _Taken(content, pixel_digest(stored, "rgb8"), record, "")

    def _content(self, place: Place, pixels: np.ndarray) -> tuple[bytes | np.ndarray | Reference, np.ndarray]:
        """What is stored, and the pixels it will be read as."""
        match self._config.encoding:
            case "raw":
                return pixels, pixels
            case "reference":
                return Reference(self._reader.reference(place.x_px, place.y_px)), pixels
        own = self._reader.jpeg(place.x_px, place.y_px)
        if own is not None:
            return own, pixels
        encoded = _jpeg(pixels, self._config.jpeg_quality)
        return encoded, decode_jpeg(encoded, "rgb8")


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality, colorspace="RGB", colorsubsampling="444", fastdct=False
    )
    return encoded


def _annotations(config: SlidesConfig, one: Listed) -> Annotations | None:
    if config.annotations is None:
        return None
    return load_annotations(config.annotations, one.key, one.info.size_px, one.info.mpp)


def _places(
    config: SlidesConfig,
    one: Listed,
    plan: ReadPlan,
    cut: ForeignCoordinates | None,
    thumbnail: Thumbnail,
    mask: np.ndarray,
    annotations: Annotations | None,
) -> list[Place]:
    """Every patch, in reading order. Raises ChainError (65) when there is none."""
    if cut is not None:
        xy, tissue = cut.xy_px, tissue_shares(cut.xy_px, plan.side_px, mask, thumbnail.downsample)
    else:
        stride = config.grid.stride_px(config.size_px)
        found = lay(one.info.size_px, one.info.mpp, plan.mpp, config.size_px, stride, mask, thumbnail.downsample,
                    config.grid.min_tissue)  # fmt: skip
        xy, tissue = found.xy_px, found.tissue
    if not len(xy):
        raise _nothing(one, mask)
    if annotations is not None and config.annotations is not None:
        labels, keep = label_patches(xy, plan.side_px, annotations, config.annotations)
        if not keep.any():
            raise ChainError(
                f"{one.key}: none of its {len(xy):,} patches has a place in the annotations",
                "annotations.outside or annotations.ambiguous drops every one",
                "look at annotations.min_share and annotations.outside, or leave the slide out (prepare.pattern)",
                ExitCode.BAD_DATA,
            )
    else:
        labels, keep = [one.row.label] * len(xy), np.ones(len(xy), bool)
    order = reading_order(xy, plan.downsample)
    return [Place(int(xy[n, 0]), int(xy[n, 1]), float(tissue[n]), labels[n]) for n in order if keep[n]]


def _nothing(one: Listed, mask: np.ndarray) -> ChainError:
    return ChainError(
        f"{one.key}: no patch of it has enough tissue",
        f"{mask.mean():.2%} of its thumbnail was found to be tissue ({mask.mean() * _area_mm2(one):.3g} mm2)",
        "lower grid.min_tissue or tissue.min_density if there is some, or leave the slide out (prepare.pattern)",
        ExitCode.BAD_DATA,
    )


def _check(config: SlidesConfig, unit: Unit, listed: int, bad: list[Quarantined], left_out: Counter[str]) -> None:
    """Raise ChainError (65) when too much is in quarantine, or nothing is left."""
    if len(bad) > config.quarantine_limit * listed or len(bad) == listed:
        raise ChainError(
            f"{unit.shown}: {len(bad):,} of its {listed:,} patches cannot be read; "
            f"prepare.quarantine_limit is {config.quarantine_limit:.1%}",
            "; ".join(f"{row.key}: {row.reason[:110]}" for row in bad[:2]),
            "copy the slide again from its origin, or raise prepare.quarantine_limit",
            ExitCode.BAD_DATA,
        )
    if len(bad) + left_out.total() == listed:
        counts = ", ".join(f"{name} {n:,}" for name, n in sorted(left_out.items()))
        raise ChainError(f"{unit.shown}: quality.keep keeps none of its {listed:,} patches", f"left out by {counts}",
                         "widen the bounds, or leave the slide out (prepare.pattern)",
                         ExitCode.BAD_DATA)  # fmt: skip


def _area_mm2(one: Listed) -> float:
    width, height = one.info.size_px
    return width * height * (one.info.mpp / 1000) ** 2


def _slide_facts(one: Listed, plan: ReadPlan, reader: SlideReader) -> dict[str, Any]:
    info = one.info
    return {
        "slide_mpp": round(info.mpp, 6),
        "mpp_from": info.mpp_from,
        "vendor": info.vendor,
        "objective": info.objective,
        "size_px": list(info.size_px),
        "levels": len(info.downsamples),
        "level": plan.level,
        "resampled": round(plan.scale, 6),
        "route": reader.route,
        "patient": one.patient,
    }
