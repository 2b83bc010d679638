"""Is the noise noise? Asked at the start of every training, of a few patches, before hours are spent.

albumentations gives every worker and every epoch the same draws unless it is kept from it, and a student without
noise learns what its teacher said, errors and all, while its curves look as ever.
"""

import logging

import numpy as np

from data.errors import ChainError, ExitCode
from data.images import Images
from stages.train.batches import Item
from stages.train.phases import Phase

LOG = logging.getLogger("patchchain")
PATCHES = 16
LAPS = 16  # an operation with a chance of 5 % is missed in all draws once in 10^5 trainings


def check_noise(phases: list[Phase], images: Images, validation: np.ndarray, name: str) -> None:
    """Raise ChainError unless views are as they must be. validation: (V,) ids of patches that are seen clean.

    70: the same draw, or the same clean patch, is not the same twice; 78: noise is configured and disturbs nothing.
    """
    for phase in phases:
        items = [
            Item(stream, example, place)
            for stream, examples in enumerate(phase.patches.streams)
            for example, place in _draws(len(examples.ids))
        ]
        for item in items[:PATCHES]:
            _refuse_unlike(phase.patches.image(item), phase.patches.image(item), f"{name}: a noised patch")
        if phase.clean:
            LOG.info(f"{name}: no noise on steps {phase.start:,} to {phase.stop:,}, as configured")
        elif not _any_differs(phase, items):
            raise ChainError(
                f"{name}: the noise disturbs nothing: {len(items)} draws of {PATCHES} patches are all as before",
                "what is configured under `noise` is too weak, or too rare, to change any of these patches",
                "raise its magnitudes, or set noise: none if that is what you want",
                ExitCode.MISMATCH,
            )
    rows = images.store.rows(np.concatenate([validation[:PATCHES], phases[0].patches.streams[0].ids[:PATCHES]]))
    for row in rows:
        _refuse_unlike(images.image(int(row)), images.image(int(row)), f"{name}: a clean patch")


def _draws(size: int) -> list[tuple[int, int]]:
    # the same patch a lap later, as epochs see it
    return [(example, example + lap * size) for lap in range(LAPS) for example in range(min(size, PATCHES))]


def _any_differs(phase: Phase, items: list[Item]) -> bool:
    seen: dict[tuple[int, int], np.ndarray] = {}
    for item in items:
        image = phase.patches.image(item)
        before = seen.setdefault((item.stream, item.example), image)
        if not np.array_equal(image, before):
            return True
    return False


def _refuse_unlike(first: np.ndarray, second: np.ndarray, what: str) -> None:
    if not np.array_equal(first, second):
        raise ChainError(
            f"{what} is not the same twice",
            "it must be a function of the patch and its place in the stream, or a resumed training is another one",
            "this is an error of the program, or of the disk the patches lie on: report it with the log",
            ExitCode.INTERNAL,
        )
