"""Noise done by torch on a whole batch is the noise that OpenCV does on each patch: the same draws, within rounding.

Tolerances, in 1/255: operation by operation as stated in LAWS, the mean of all pixels and the 99.9th percentile of
their differences; for 8-bit patches a step of grey. OpenCV before 5 interpolates at 1/32 px, and is farther off.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from data.augment.ct import CtNoiseDrawer
from data.augment.drawn import NUMBERS
from data.augment.noise import PRESETS, Noise
from data.augment.pipeline import NoiseDrawer
from data.pixels.windows import windows_of
from stages.train import on_device
from stages.train.on_device import MOVING, OPERATIONS, disturbed, groups

SIZE, SEEDS = 32, range(60)
LOOSE = 1.0 if int(cv2.__version__.split(".")[0]) < 5 else 0.0  # see above: rough patches are the worst case
MOVED = {"rotate_deg": 20.0, "scale": 0.2, "shift": 0.1}
# what is on -> mean and 99.9th percentile at most
LAWS: dict[str, tuple[dict[str, Any], float, float]] = {
    "flips": ({"flips": True, "quarter_turns": True}, 0, 0),
    "moved": (MOVED, 0.002 + LOOSE, 0.05 + 5 * LOOSE),
    "crop": ({"crop": 0.4}, 0.15, 1),
    "light": ({"brightness": 0.3, "contrast": 0.3}, 1e-5, 1e-4),
    "stain": ({"stain": 0.3}, 0.001, 0),
    "blur": ({"blur": 1.0}, 0.001, 1e-3),
    "grain": ({"grain": 1.0}, 1e-5, 1e-4),
    "jpeg": ({"jpeg": 1.0}, 0, 0),
    "cutout": ({"cutout": 0.4}, 0, 0),
    "weak": (PRESETS["weak"], 0.001, 0),
    "strong": (PRESETS["strong"], 0.005 + LOOSE, 0.05 + 5 * LOOSE),
    "all": (PRESETS["strong"] | {"crop": 0.3, "blur": 1.0, "grain": 1.0, "jpeg": 0.5}, 0.15 + LOOSE, 2 + 5 * LOOSE),
    "some": (PRESETS["strong"] | {"crop": 0.3, "choose": 2}, 0.1 + LOOSE, 1 + 5 * LOOSE),
}
CT_LAWS: dict[str, tuple[dict[str, Any], float, float]] = {
    "none": ({}, 0, 0),
    "turned": ({"flips": True, "quarter_turns": True, "slice_flip": True, "slice_shift": 2, "cutout": 0.4}, 0, 0),
    "moved": (MOVED | {"crop": 0.2}, 0.01 + 5 * LOOSE, 0.3 + 50 * LOOSE),
    "rescanned": ({"intensity_scale": 0.05, "intensity_shift_hu": 50.0, "grain_hu": 100.0}, 1e-5, 1e-4),
    "reread": ({"window_level": 0.2, "window_width": 0.3}, 1e-5, 1e-4),
    "weak": (PRESETS["ct_weak"], 1e-5, 1e-4),
    "strong": (PRESETS["ct_strong"], 0.01 + 5 * LOOSE, 0.3 + 50 * LOOSE),
}
WINDOWS = windows_of(["lung", "soft_tissue"])
# for which there is no such operation
NOTHING = {"rgb8": {"none"}, "grey8": {"none", "stain"}, "grey16": {"none", "stain", "jpeg"}, "hu16": {"none"}}
KINDS = {"rgb8": (np.uint8, 3), "grey8": (np.uint8, 1), "grey16": (np.float32, 1)}


def rough(kind: str) -> list[np.ndarray]:
    """The worst of patches: every pixel is its own. Smooth ones hide a sample taken a little beside."""
    dtype, channels = KINDS.get(kind, (np.int16, 3))
    values = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, channels))
    if kind == "hu16":
        values = values * 6 - 1000
    return list((values / 255 if dtype is np.float32 else values).astype(dtype))


def drawers(kind: str) -> dict[str, tuple[Any, float, float]]:
    if kind == "hu16":
        return {name: (CtNoiseDrawer(Noise(**on), WINDOWS), *most) for name, (on, *most) in CT_LAWS.items()}
    laws = {"none": ({}, 0, 0)} | LAWS
    return {name: (NoiseDrawer(Noise(**on), KINDS[kind][1]), *most) for name, (on, *most) in laws.items()}


def by_device(drawer: Any, patches: Sequence[np.ndarray], seeds: Sequence[int]) -> np.ndarray:
    """(N, S, S, C): patch after patch with seed after seed, in one batch."""
    begun = [drawer.begun(patches[seed % len(patches)], seed) for seed in seeds]
    image = torch.from_numpy(np.stack([patch for patch, _ in begun])).permute(0, 3, 1, 2)
    return disturbed(image, groups([left for _, left in begun])).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", [*KINDS, "hu16"])
def test_every_operation_gives_what_opencv_gives(kind: str) -> None:
    patches = rough(kind)
    for name, (drawer, mean, rare) in drawers(kind).items():
        expected = np.stack([drawer(patches[seed % len(patches)], seed) for seed in SEEDS])
        found = by_device(drawer, patches, SEEDS)
        assert found.dtype == expected.dtype, name
        assert found.shape == expected.shape, name
        apart = np.abs(found.astype(np.float64) - expected) * (1 if found.dtype == np.uint8 else 255)
        assert apart.mean() <= mean, name
        assert np.quantile(apart, 0.999) <= rare, name
        if name in NOTHING[kind]:
            continue
        clean = by_device(drawers(kind)["none"][0], patches, SEEDS)
        assert not np.array_equal(found, clean), f"{name} did nothing, so nothing was compared"


def test_whatever_is_drawn_is_done_on_the_device_but_for_recompression_and_what_comes_before_it() -> None:
    seen = set()
    for kind in (*KINDS, "hu16"):
        patch = rough(kind)[0]
        for drawer, *_ in drawers(kind).values():
            for seed in SEEDS:
                begun, left = drawer.begun(patch, seed)
                seen |= {one.name for one in left}
                assert begun is patch or drawer.noise.jpeg
    assert seen == set(NUMBERS) == {*MOVING, *OPERATIONS, "Windowed"}
    always = NoiseDrawer(Noise(**(PRESETS["strong"] | {"jpeg": 1.0})), 3)
    begun = [always.begun(rough("rgb8")[0], seed) for seed in SEEDS]
    assert {one.name for _, left in begun for one in left} == {"Cutout"}
    assert all(not np.array_equal(image, rough("rgb8")[0]) for image, _ in begun)


@pytest.mark.parametrize("kind", [*KINDS, "hu16"])
def test_a_view_depends_on_its_seed_alone_not_on_the_batch_it_comes_in(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More patches than an operation takes at once, in another order, in halves, and each by itself."""
    monkeypatch.setattr(on_device, "AT_ONCE", 8)
    patches, drawer = rough(kind), drawers(kind)["strong"][0]
    seeds = list(range(30))
    whole = by_device(drawer, patches, seeds)
    assert len(np.unique(whole.reshape(len(whole), -1), axis=0)) == len(whole), "draws repeat"
    backwards = by_device(drawer, patches, seeds[::-1])[::-1]
    halves = np.concatenate([by_device(drawer, patches, seeds[:13]), by_device(drawer, patches, seeds[13:])])
    alone = np.concatenate([by_device(drawer, patches, [seed]) for seed in seeds])
    for other in (backwards, halves, alone):
        # the last bit of a logarithm may depend on where in a register a value stands
        step = 1 if whole.dtype == np.uint8 else 1e-5
        assert np.abs(other.astype(np.float64) - whole).max() <= step
        assert (other != whole).mean() < 1e-3


def test_the_batch_that_is_given_stays_as_it_is() -> None:
    for kind in (*KINDS, "hu16"):
        begun = [drawers(kind)["strong"][0].begun(patch, seed) for seed, patch in enumerate(rough(kind))]
        given = torch.from_numpy(np.stack([patch for patch, _ in begun])).permute(0, 3, 1, 2)
        for image in (given, given.contiguous()):
            before = image.clone()
            disturbed(image, groups([left for _, left in begun]))
            assert torch.equal(image, before)
