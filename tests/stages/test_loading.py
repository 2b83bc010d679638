"""From the store to tensors: in the order that was asked for, whoever reads."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from data.augment.noise import PRESETS, Noise
from data.augment.pipeline import NoiseDrawer
from data.images import Images
from data.store.patch_store import PatchStore
from stages.job import Hardware
from stages.loading import FEWEST_EACH, in_threads
from stages.process import device
from stages.process.device import loader_workers
from stages.train.batches import Examples, Item, TrainingPatches


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_as_before")
@pytest.mark.parametrize("threads", [1, 2, 3, 64])
@pytest.mark.parametrize("count", [0, 1, 2 * FEWEST_EACH, 2 * FEWEST_EACH + 1, 50])
def test_the_order_is_that_of_the_items(threads: int, count: int) -> None:
    torch.set_num_threads(threads)
    assert in_threads(lambda item: np.array(item), range(count)) == list(range(count))


@pytest.mark.usefixtures("threads_as_before")
def test_an_error_in_any_thread_is_the_callers() -> None:
    torch.set_num_threads(2)
    for bad in (0, 1):
        with pytest.raises(ZeroDivisionError):
            in_threads(lambda item, bad=bad: np.array(1 // (item - bad)), range(40))


@pytest.mark.usefixtures("threads_as_before")
def test_threads_change_no_byte_of_a_batch(patches: dict[str, Path]) -> None:
    images = Images(PatchStore(patches["store"] / "patches.h5"))
    ids = images.store.ids[:64]
    stream = Examples(ids, np.ones((64, 5), np.float32), np.ones(64, np.float32))
    drawn = TrainingPatches(images, [stream], NoiseDrawer(Noise(**PRESETS["strong"] | {"choose": 3}), 3), seed=1)
    items = [Item(0, index, index) for index in range(64)]
    batches = []
    for threads in (1, 4, 4):
        torch.set_num_threads(threads)
        batches.append(drawn[items])
    assert all(torch.equal(batch.image, batches[0].image) for batch in batches)


def test_loader_processes_leave_a_core_to_each_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for cores, devices, workers in ((16, 1, 8), (4, 1, 3), (16, 4, 3), (1, 1, 0)):
        monkeypatch.setattr(device, "cores", lambda cores=cores: cores)
        assert loader_workers(Hardware("cuda", devices=devices)) == workers
    assert loader_workers(Hardware("cuda", workers=5)) == 5
    assert loader_workers(Hardware("cpu")) == 0
