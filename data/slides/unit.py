"""One slide to a patch store: tissue found, grid laid, patches labelled, read, measured, stored, shown."""

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.atomic import write_bytes
from data.bad_patch import BadPatch
from data.errors import ChainError, ExitCode
from data.in_order import CHUNK, in_order
from data.ingest import patch_id
from data.preparation import QUARANTINE, STORE, THUMBNAIL, Progress, Unit
from data.quarantine import Quarantined, write_quarantine
from data.slides.annotations import load_annotations
from data.slides.config import SlidesConfig
from data.slides.listing import Listed, listed_again, plan_of
from data.slides.pictures import picture
from data.slides.placing import Place, area_mm2, places_of
from data.slides.plan import ReadPlan
from data.slides.reading import SlideReader
from data.slides.taking import Taker
from data.slides.thumbnail import read_thumbnail
from data.slides.tissue import segment
from data.store_writer import writing_store

SOURCE, PART = "slides", "split"
# once over the limit the slide is certain to fail, and each further failure may open it anew
ENOUGH_BAD = 200
PICTURE_PX = 1200  # longest side of the picture of a slide
TASK_PX = 16 * 512 * 512  # pixels of a task: results wait in memory


def prepare_slide(config: SlidesConfig, unit: Unit, out: Path, threads: int, progress: Progress) -> dict[str, Any]:
    """Write patches.h5, quarantine.csv and thumbnail.jpg of one slide; returns its facts.

    Raises ChainError: what listing raises, no tissue, nothing kept, too many in quarantine.
    """
    cv2.setNumThreads(1)  # the threads are ours: those of OpenCV would only stand in their way
    one = listed_again(config, unit.shown)
    plan, cut = plan_of(config, one)
    # fine enough to be looked at, however small the slide; tissue is found at a resolution of its own
    seen_mpp = max(one.info.size_px) * one.info.mpp / PICTURE_PX
    shown = read_thumbnail(one.info, min(seen_mpp, config.tissue.thumbnail_mpp), lambda: progress(0, 0))
    thumbnail = shown.coarser(config.tissue.thumbnail_mpp)
    # what could not be read may be tissue: its patches are listed, tried, and named in the quarantine table
    mask = segment(thumbnail.pixels, thumbnail.mpp, config.tissue) | thumbnail.unread
    progress(0, 0)
    annotations = None
    if config.annotations is not None:
        annotations = load_annotations(config.annotations, one.key, one.info.size_px, one.info.mpp)
    places = places_of(config, one, plan, cut, thumbnail, mask, annotations)
    reader = SlideReader(one.info.path, plan)
    take = Taker(config, one, reader)
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
    drawn = picture(shown.pixels, shown.downsample[0], mask, at, plan.side_px,
                    [place.label for place in kept], annotations)  # fmt: skip
    write_bytes(out / THUMBNAIL, drawn)
    return {
        "patches": len(kept),
        "quarantined": len(bad),
        "left_out": dict(sorted(left_out.items())),
        "labels": dict(sorted(labels.items())),
        "unlabelled": unlabelled,
        "tissue_mm2": round(float(mask.mean()) * area_mm2(one), 4),
        "mpp": round(plan.mpp, 6),
        **_slide_facts(one, plan, reader),
        **({"annotations": annotations.facts} if annotations is not None else {}),
        **({"coordinates": {"tool": cut.tool, **cut.facts}} if cut is not None else {}),
        **({"thumbnail_unread": round(float(thumbnail.unread.mean()), 6)} if thumbnail.unread.any() else {}),
    }


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
