"""One slide to a patch store: tissue found, grid laid, patches labelled, read, measured, stored, shown."""

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.files.atomic import write_bytes
from data.preparation import Progress, Unit
from data.prepared import EMPTY, THUMBNAIL
from data.slides.annotations import load_annotations
from data.slides.config import SlidesConfig
from data.slides.listing import Listed, listed_again, plan_of
from data.slides.pictures import picture
from data.slides.placing import area_mm2, places_of
from data.slides.storing import store_patches
from data.slides.taking import Taker
from data.slides.tissue import segment
from data.wsi.plan import ReadPlan
from data.wsi.reading import SlideReader
from data.wsi.thumbnail import read_thumbnail

PICTURE_PX = 1200  # longest side of the picture of a slide


def prepare_slide(config: SlidesConfig, unit: Unit, out: Path, threads: int, progress: Progress) -> dict[str, Any]:
    """Write patches.h5, quarantine.csv and thumbnail.jpg of one slide; returns its facts.

    A slide of which no patch is wanted (glass, a wholly blurred one) has no patches.h5, and says why in its facts.
    Raises ChainError: what listing raises, too many in quarantine.
    """
    cv2.setNumThreads(1)  # the threads are ours: those of OpenCV would only stand in their way
    one = listed_again(config, unit)
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
        annotations = load_annotations(config.annotations, one.key, one.info.size_px, one.info.mpp,
                                       one.info.bounds_px)  # fmt: skip
    places, why_none = places_of(config, one, plan, cut, thumbnail, mask, annotations)
    reader = SlideReader(one.info.path, plan)
    stored = store_patches(config, unit.shown, places, Taker(config, one, reader), out, threads, progress)
    kept, left_out = stored.kept, dict(sorted(stored.left_out.items()))
    if places and not kept:
        why_none = f"quality.keep leaves out every one of its {len(places):,} patches, by " + ", ".join(left_out)
    labels = Counter(place.label for place in kept)
    unlabelled = labels.pop("", 0)
    at = np.array([place[:2] for place in kept], np.int64).reshape(-1, 2)
    drawn = picture(shown.pixels, shown.downsample[0], mask, at, plan.side_px,
                    [place.label for place in kept], annotations)  # fmt: skip
    write_bytes(out / THUMBNAIL, drawn)
    return {
        "patches": len(kept),
        "quarantined": len(stored.bad),
        "left_out": left_out,
        "labels": dict(sorted(labels.items())),
        "unlabelled": unlabelled,
        "tissue_mm2": round(float(mask.mean()) * area_mm2(one), 4),
        "mpp": round(plan.mpp, 6),
        **_slide_facts(one, plan, reader),
        **({EMPTY: why_none} if why_none else {}),
        **({"annotations": annotations.facts} if annotations is not None else {}),
        **({"coordinates": {"tool": cut.tool, **cut.facts}} if cut is not None else {}),
        **({"thumbnail_unread": round(float(thumbnail.unread.mean()), 6)} if thumbnail.unread.any() else {}),
    }


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
