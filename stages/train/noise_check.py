"""Is the noise noise? Asked at the start of every training, of a few patches, before hours are spent.

albumentations gives every worker and every epoch the same draws unless it is kept from it, and a student without
noise learns what its teacher said, errors and all, while its curves look as ever.
"""

import logging

import numpy as np
import torch

from data.errors import ChainError, ExitCode
from data.images import Images
from stages.train.batches import Item
from stages.train.phases import Phase

LOG = logging.getLogger("patchchain")
PATCHES = 16
LAPS = 16  # an operation with a chance of 5 % is missed in all draws once in 10^5 trainings
APART = 3.0  # of 255, the mean of all pixels: rounding gives a tenth, OpenCV before 5 up to one, another draw tens
CPU = torch.device("cpu")


def check_noise(
    phases: list[Phase], images: Images, validation: np.ndarray, name: str, device: torch.device = CPU
) -> None:
    """Raise ChainError unless views are as they must be. validation: (V,) ids of patches that are seen clean.

    device: where the network computes, and, with --noise-on device, noise is done. 70: the same draw, or the same
    clean patch, is not the same twice, or not as the loader makes it; 78: noise is configured and disturbs nothing.
    """
    for phase in phases:
        items = [
            Item(stream, example, place)
            for stream, examples in enumerate(phase.patches.streams)
            for example, place in _draws(len(examples.ids))
        ]
        some = items[:PATCHES]
        seen = _views(phase, some, device)
        for first, second in zip(seen, _views(phase, some, device), strict=True):
            _refuse_unlike(first, second, f"{name}: a noised patch")
        if phase.patches.on_device:
            _refuse_apart(seen, np.stack([phase.patches.image(item) for item in some]), f"{name}: on {device}")
        if phase.clean:
            LOG.info(f"{name}: no noise on steps {phase.start:,} to {phase.stop:,}, as configured")
        elif not _any_differs(phase, items, device):
            raise ChainError(
                f"{name}: the noise disturbs nothing: {len(items)} draws of {PATCHES} patches are all as before",
                "what is configured under `noise` is too weak, or too rare, to change any of these patches",
                "raise its magnitudes, or set noise: none if that is what you want",
                ExitCode.MISMATCH,
            )
    rows = images.store.rows(np.concatenate([validation[:PATCHES], phases[0].patches.streams[0].ids[:PATCHES]]))
    for row in rows:
        _refuse_unlike(images.image(int(row)), images.image(int(row)), f"{name}: a clean patch")


def _views(phase: Phase, items: list[Item], device: torch.device) -> np.ndarray:
    """(N, H, W, C), as the network gets them: disturbed where it computes, if that is so configured."""
    found: np.ndarray = phase.patches[items].to(device).disturbed().image.permute(0, 2, 3, 1).cpu().numpy()
    return found


def _draws(size: int) -> list[tuple[int, int]]:
    # the same patch a lap later, as epochs see it
    return [(example, example + lap * size) for lap in range(LAPS) for example in range(min(size, PATCHES))]


def _any_differs(phase: Phase, items: list[Item], device: torch.device) -> bool:
    seen: dict[tuple[int, int], np.ndarray] = {}
    for start in range(0, len(items), PATCHES):
        some = items[start : start + PATCHES]
        for item, image in zip(some, _views(phase, some, device), strict=True):
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


def _refuse_apart(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    unit = 1 if found.dtype == np.uint8 else 255
    apart = unit * np.abs(found.astype(np.float32) - expected.astype(np.float32)).mean()
    if not apart <= APART:
        raise ChainError(
            f"{what} noised patches are not what the loader makes of them: {apart:.1f}/255 apart in the mean",
            "the same draws must give the same views within rounding, wherever they are done",
            "use --noise-on loader, and report it with the log: an error of the program, or of the device's libraries",
            ExitCode.INTERNAL,
        )
