"""Stage `split`: draw the splits of a store, audit them for leaks, write them. Drawn once, never again."""

import json
import logging

import numpy as np

from data import fault
from data.errors import ChainError, ExitCode
from data.images import Images
from data.keys import uniform
from data.splits.config import SplitsConfig
from data.splits.drawing import draw_without_leaks
from data.splits.written import LABELLED, POOL, SPLITS, write_splits
from data.stain_normaliser import find_stains
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from stages.job import Job

LOG = logging.getLogger("patchchain")
STATISTICS_PATCHES = 2000


def run(job: Job) -> str:
    """Inputs: `store`. Writes splits.parquet, audit.parquet, splits.json, and stain.json where stain is normalised.

    Raises ChainError (65) on a leak.
    """
    config = SplitsConfig.model_validate_json(json.dumps(job.section))
    store = PatchStore(job.inputs["store"] / "patches.h5")
    said = read_source_labels(store.path)
    drawn = draw_without_leaks(store.table(), said, store.classes, config, store.key)
    for warning in drawn.warnings:
        LOG.warning(warning)
    used = drawn.ids[(drawn.split == LABELLED) | (drawn.split == POOL)]
    stains = find_stains(store, used, config.seed) if config.stain == "macenko" else None
    if stains is not None:
        stains.save(job.out)
        if lost := sum(source is None for source in stains.sources):
            LOG.warning(f"{lost:,} slides hold too little stain to normalise: their patches stay as they are")
    normaliser = None if stains is None else stains.normaliser(store)
    mean, std = statistics(Images(store, normaliser), used, config.seed)
    fault.point("split.drawn")
    write_splits(job.out, drawn, mean, std)
    counts = ", ".join(f"{int((drawn.split == code).sum()):,} {name}" for code, name in enumerate(SPLITS))
    return f"split by {drawn.unit}: {counts}"


def statistics(images: Images, ids: np.ndarray, seed: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation a channel, in [0, 1], over at most 2,000 patches drawn by seed and patch id.

    Summed in whole numbers, of 16-bit and windowed patches in 65,535ths: the order of the sum does not matter.
    """
    chosen = np.sort(ids[np.argsort(uniform(ids, "statistics", seed), kind="stable")[:STATISTICS_PATCHES]])
    channels, top = images.kind.channels, 255
    n, total, squares = 0, [0] * channels, [0] * channels
    for row in images.store.rows(chosen):
        image = images.image(int(row))
        if image.dtype != np.uint8:
            image, top = np.rint(image.astype(np.float64) * 65535), 65535
        flat = image.reshape(-1, channels).astype(np.uint64)
        n += len(flat)
        total = [old + int(new) for old, new in zip(total, flat.sum(axis=0), strict=True)]
        squares = [old + int(new) for old, new in zip(squares, (flat * flat).sum(axis=0), strict=True)]
    mean = [part / n / top for part in total]
    # n * squares - total^2 is exact in whole numbers, where a difference of floats would cancel
    std = [(n * part - whole * whole) ** 0.5 / n / top for part, whole in zip(squares, total, strict=True)]
    if min(std) == 0:
        raise ChainError(
            f"every one of {len(chosen):,} patches has the same flat value in channel {std.index(0)}",
            "the pixels carry nothing to learn from, and cannot be scaled to unit deviation",
            "look at the patches; for CT choose data.windows that show them; "
            "for grey images in three channels set data.mode: grey8",
            ExitCode.BAD_DATA,
        )
    return mean, std
