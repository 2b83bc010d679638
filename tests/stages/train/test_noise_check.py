"""The check refuses noise that is none, and draws that are not the same twice; by name, before a step is made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from data.augment.drawn import Drawn
from data.augment.noise import PRESETS, Noise
from data.errors import ChainError, ExitCode
from data.images import Drawer, Images, drawer
from data.store.patch_store import PatchStore
from stages.loading import loader
from stages.train import batches
from stages.train.batches import Examples, Item, Steps, TrainingPatches
from stages.train.noise_check import check_noise
from stages.train.on_device import Group, disturbed
from stages.train.phases import Phase

STRONG = Noise(**PRESETS["strong"])


@pytest.fixture
def images(patches: dict[str, Path]) -> Images:
    return Images(PatchStore(patches["store"] / "patches.h5"))


def phase(images: Images, noise: Drawer, clean: bool = False, count: int = 20, on_device: bool = False) -> Phase:
    ids = np.sort(images.store.ids)[:count]
    stream = Examples(ids, np.ones((count, 1), np.float32), np.ones(count, np.float32))
    return Phase(0, 10, 1e-3, TrainingPatches(images, [stream], noise, 1, on_device), [4], clean)


def test_noise_that_is_noise_passes(images: Images) -> None:
    for name in ("weak", "strong"):
        check_noise([phase(images, drawer(Noise(**PRESETS[name]), images.kind))], images, images.store.ids, "x")
    rare = drawer(Noise(blur=0.05), images.kind)
    check_noise([phase(images, rare)], images, images.store.ids, "x")


def test_draws_that_never_change_are_refused(images: Images) -> None:
    """What albumentations does to a pipeline that is built once: the same draw for every epoch."""
    strong = drawer(STRONG, images.kind)
    with pytest.raises(
        ChainError, match="rounds/00/student: the noise disturbs nothing: 256 draws of 16 patches"
    ) as no:
        check_noise(
            [phase(images, lambda image, seed: strong(image, 0))], images, images.store.ids, "rounds/00/student"
        )
    assert no.value.code == ExitCode.MISMATCH


class SameSeed:
    """As albumentations would have it, in the drawer that a device goes on from."""

    def __init__(self, images: Images) -> None:
        self.strong = drawer(STRONG, images.kind)

    def __call__(self, patch: np.ndarray, seed: int) -> np.ndarray:
        return self.strong(patch, 0)

    def begun(self, patch: np.ndarray, seed: int) -> tuple[np.ndarray, Sequence[Drawn]]:
        return self.strong.begun(patch, 0)


def test_the_same_check_is_made_of_noise_on_the_device(images: Images) -> None:
    ids = images.store.ids
    for name in ("weak", "strong"):
        check_noise([phase(images, drawer(Noise(**PRESETS[name]), images.kind), on_device=True)], images, ids, "x")
    check_noise([phase(images, drawer(Noise(), images.kind), clean=True, on_device=True)], images, ids, "x")
    with pytest.raises(ChainError, match="the noise disturbs nothing"):
        check_noise([phase(images, SameSeed(images), on_device=True)], images, ids, "x")


@pytest.mark.parametrize("broken", ["nothing is done", "what was drawn for another patch is done"])
def test_a_device_that_does_not_do_what_was_drawn_is_refused(
    images: Images, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def done(image: torch.Tensor, drawn: dict[str, Group]) -> torch.Tensor:
        others = {name: Group(len(image) - 1 - rows, values) for name, (rows, values) in drawn.items()}
        return image if broken == "nothing is done" else disturbed(image, others)

    monkeypatch.setattr(batches, "disturbed", done)
    with pytest.raises(
        ChainError, match=r"x: on cpu noised patches are not what the loader makes of them: \d+\.\d/255"
    ):
        check_noise([phase(images, drawer(STRONG, images.kind), on_device=True)], images, images.store.ids, "x")


def test_no_noise_that_was_asked_for_is_no_fault(images: Images) -> None:
    check_noise([phase(images, drawer(Noise(), images.kind), clean=True)], images, images.store.ids, "x")


def test_a_draw_that_is_another_one_the_next_time_is_refused(images: Images) -> None:
    count = iter(range(10_000))
    strong = drawer(STRONG, images.kind)
    with pytest.raises(ChainError, match="a noised patch is not the same twice") as no:
        check_noise([phase(images, lambda image, seed: strong(image, next(count)))], images, images.store.ids, "x")
    assert no.value.code == ExitCode.INTERNAL


def test_a_clean_view_that_is_noised_is_refused(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, count = images.image, iter(range(10_000))
    strong = drawer(STRONG, images.kind)
    monkeypatch.setattr(images, "image", lambda row: strong(clean(row), next(count)))
    with pytest.raises(ChainError, match="a clean patch is not the same twice"):
        check_noise([phase(images, strong)], images, images.store.ids, "x")


@pytest.mark.parametrize("on_device", [False, True])
def test_views_differ_between_epochs_and_ranks_and_not_between_workers(images: Images, on_device: bool) -> None:
    """Every place of the stream has a draw of its own, and the process that makes it does not matter."""
    drawn = phase(images, drawer(STRONG, images.kind), count=6, on_device=on_device).patches
    steps = Steps([6], [6], seed=1, start=0, stop=4)

    def epochs(workers: int) -> list[np.ndarray]:
        return [batch.disturbed().image.numpy() for batch in loader(drawn, steps, workers, seed=workers)]

    def view(item: Item) -> bytes:
        return drawn[[item]].disturbed().image.numpy().tobytes()

    alone, helped = epochs(0), epochs(2)
    assert all(np.array_equal(a, b) for a, b in zip(alone, helped, strict=True))
    of_patch: dict[int, list[bytes]] = {}
    ranks: tuple[list[Item], list[Item]] = ([], [])
    for items in steps:
        for n, item in enumerate(items):
            of_patch.setdefault(item.example, []).append(view(item))
            ranks[n % 2].append(item)  # two ranks share a step by taking every second item
    assert all(len(views) == len(set(views)) == 4 for views in of_patch.values()), "epochs repeat"
    views = [{view(item) for item in share} for share in ranks]
    assert not views[0] & views[1]
    assert not {item.place for item in ranks[0]} & {item.place for item in ranks[1]}
