"""From the patch store to tensors: what training and scoring share.

Data sets here give whole batches: a sampler says which patches a batch holds, and Lightning, which wraps
and reorders batch samplers, has nothing to wrap.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data.images import Images
from stages.process.end_with_parent import end_with_parent

MOST_THREADS, FEWEST_EACH = 4, 8
T = TypeVar("T")
R = TypeVar("R")


class PlainPatches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Patches as they are. A batch is asked for as a range of indices into `rows` (N,)."""

    def __init__(self, patches: Images, rows: np.ndarray) -> None:
        self.patches, self.rows = patches, rows

    def __getitem__(self, batch: range) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, H, W) and their indices (B,) int64."""
        images = in_threads(lambda index: self.patches.image(int(self.rows[index])), batch)
        return to_tensor(images), torch.tensor(batch)


def in_threads(read: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`read` of every item, in their order, by as many threads as torch computes with; by one in a loader process.

    Where there is no loader process the model's threads would stand idle while one core decodes and disturbs. More
    than a few gain nothing: Python's own part is done by one at a time.
    """
    threads = min(torch.get_num_threads(), MOST_THREADS, len(items) // FEWEST_EACH)
    if threads < 2:
        return [read(item) for item in items]

    each = -(-len(items) // threads)

    def part(start: int) -> list[R]:
        return [read(item) for item in items[start : start + each]]

    with ThreadPoolExecutor(threads) as pool:
        return [image for images in pool.map(part, range(0, len(items), each)) for image in images]


def to_tensor(images: list[np.ndarray]) -> torch.Tensor:
    """(H, W, C) arrays to one (B, C, H, W) tensor of the same type, channels last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def loader(dataset: Any, batches: Iterable[Any], workers: int, seed: int) -> DataLoader[Any]:
    """A loader of whole batches with its own generator, so that it never takes from torch's global one."""
    return DataLoader(
        dataset,
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=partial(_end_with, os.getpid()),
        generator=torch.Generator().manual_seed(seed),
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


def _end_with(parent: int, worker: int) -> None:
    end_with_parent(parent)


def in_batches(count: int, size: int) -> list[range]:
    """0..count cut into consecutive batches of `size`, the last one shorter."""
    return [range(i, min(i + size, count)) for i in range(0, count, size)]
