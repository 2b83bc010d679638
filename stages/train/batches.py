"""Which patches a step sees, as a function of (seed, step) alone, and how they become one batch.

Every batch carries the ids of its patches. Nothing depends on workers, processes or on how often the
training was interrupted: step s takes places [s * n, (s + 1) * n) of an endless stream of permutations,
and the noise of a patch is keyed by its place in that stream.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch.utils.data import Dataset, Sampler

from data.images import Drawer, Images
from data.keys import generator, seed_of
from stages.loading import in_threads, to_tensor
from stages.train.on_device import Group, disturbed, groups
from stages.train.share import Share

R = TypeVar("R")
# of smaller patches the noise is mostly Python, and two threads hand its lock to and fro: longer than one takes
THREADED_PX = 144


@dataclass(frozen=True)
class Examples:
    """What a stream draws from. ids: (N,) uint64; weight: (N,) float32.

    target: (N, C) float32, rows sum to 1, or to 0 for a patch of which only is known what it is not;
    negative: (N, C) bool, the classes a patch is not; None: nothing of the kind is known of any; given: whether people
    gave these labels.
    """

    ids: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    negative: np.ndarray | None = None
    given: bool = True

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.target) == len(self.weight) > 0


class Item(NamedTuple):
    """One draw: which of a phase's streams, which example, at which place of the stream."""

    stream: int
    example: int
    place: int


class Batch(NamedTuple):
    """One step's patches. image: (B, C, H, W) uint8 or float32 in [0, 1]; labelled: (B,) bool.

    noise: what is still to be done to them, where that is left to the device (HU: (B, D, H, W) int16 until then).
    """

    image: torch.Tensor
    patch_id: torch.Tensor  # (B,) int64, the bits of the uint64 id
    target: torch.Tensor
    weight: torch.Tensor
    labelled: torch.Tensor
    negative: torch.Tensor | None = None  # (B, C) float32 of 0 and 1
    noise: dict[str, Group] | None = None

    def to(self, device: torch.device) -> "Batch":
        """All of it on that device."""
        return Batch(*move_data_to_device(tuple(self), device))

    def disturbed(self) -> "Batch":
        """As the network sees it."""
        return self if self.noise is None else self._replace(image=disturbed(self.image, self.noise), noise=None)


@lru_cache(maxsize=4)
def _order(size: int, seed: int, lap: int) -> np.ndarray:
    return generator(seed, "lap", lap).permutation(size)


def draw(size: int, seed: int, start: int, count: int) -> np.ndarray:
    """Places [start, start + count) of an endless stream over `size` examples, each lap a fresh permutation.

    Returns (count,) int64 indices. Every example is seen once a lap, whatever the batch size.
    """
    places = np.arange(start, start + count)
    laps, offsets = places // size, places % size
    return np.array([_order(size, seed, int(lap))[offset] for lap, offset in zip(laps, offsets, strict=True)], np.int64)


class Steps(Sampler[list[Item]]):
    """One process's items of each step from `start` to `stop`; made anew for every stretch between two validations.

    Each step's are drawn whole, then dealt, so that the same patches are drawn whatever the number of devices.
    """

    def __init__(
        self, sizes: list[int], counts: list[int], seed: int, start: int, stop: int, share: Share | None = None
    ) -> None:
        self.sizes, self.counts, self.seed, self.start, self.stop = sizes, counts, seed, start, stop
        self.share = share or Share()

    def __len__(self) -> int:
        return (self.stop - self.start) * self.share.accumulate

    def __iter__(self) -> Iterator[list[Item]]:
        for step in range(self.start, self.stop):
            items: list[Item] = []
            for stream, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True)):
                first = step * count
                drawn = draw(size, seed_of(self.seed, "stream", stream), first, count)
                items += [Item(stream, int(index), first + i) for i, index in enumerate(drawn)]
            for piece in range(self.share.accumulate):
                yield [items[place] for place in self.share.places(len(items), piece)]


class TrainingPatches(Dataset[Batch]):
    """Draws a step's items from the store, with noise keyed by place and patch id. Gives whole batches.

    on_device: with noise that is drawn and, but for what only OpenCV can do, not yet done (see `Batch.disturbed`).
    """

    def __init__(
        self, images: Images, streams: list[Examples], noise: Drawer, seed: int, on_device: bool = False
    ) -> None:
        self.images, self.streams, self.noise, self.seed, self.on_device = images, streams, noise, seed, on_device
        self.rows = [images.store.rows(examples.ids) for examples in streams]

    def __getitem__(self, items: list[Item]) -> Batch:
        """The batch of one step, in the order of `items`."""
        pick = [(self.streams[item.stream], item.example) for item in items]
        images, noise = self._begun(items) if self.on_device else (self._each(self.image, items), None)
        return Batch(
            image=to_tensor(images),
            patch_id=torch.from_numpy(np.array([s.ids[i] for s, i in pick], np.uint64).view(np.int64)),
            target=torch.from_numpy(np.stack([s.target[i] for s, i in pick])),
            weight=torch.from_numpy(np.array([s.weight[i] for s, i in pick], np.float32)),
            labelled=torch.tensor([s.given for s, _ in pick]),
            negative=self._negative(pick),
            noise=noise,
        )

    def _negative(self, pick: list[tuple[Examples, int]]) -> torch.Tensor | None:
        if all(stream.negative is None for stream in self.streams):
            return None
        rows = [np.zeros(s.target.shape[1]) if s.negative is None else s.negative[i] for s, i in pick]
        return torch.from_numpy(np.stack(rows).astype(np.float32))

    def image(self, item: Item) -> np.ndarray:
        """One noised patch (H, W, C)."""
        return self._of(item, self.noise)

    def _each(self, read: Callable[[Item], R], items: list[Item]) -> list[R]:
        return in_threads(read, items) if self.images.kind.size_px >= THREADED_PX else [read(item) for item in items]

    def _begun(self, items: list[Item]) -> tuple[list[np.ndarray], dict[str, Group]]:
        begun = self._each(lambda item: self._of(item, self.noise.begun), items)
        return [image for image, _ in begun], groups([left for _, left in begun])

    def _of(self, item: Item, noise: Callable[[np.ndarray, int], R]) -> R:
        row = int(self.rows[item.stream][item.example])
        patch_id = int(self.streams[item.stream].ids[item.example])
        return self.images.noised(row, noise, seed_of(self.seed, "noise", item.stream, item.place, patch_id))
