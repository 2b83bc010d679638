"""From the patch store to tensors: what training and scoring share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data.store import PatchStore


class PlainPatches(Dataset[tuple[np.ndarray, int]]):
    """Patches as they are, in the order of `rows`; an item is (image, index into rows)."""

    def __init__(self, store: PatchStore, rows: np.ndarray) -> None:
        self.store, self.rows = store, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return as_image(self.store.pixels(int(self.rows[index]))), index

    @staticmethod
    def collate(drawn: list[tuple[np.ndarray, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, H, W) and their indices (B,) int64."""
        return to_tensor([image for image, _ in drawn]), torch.tensor([index for _, index in drawn])


def as_image(pixels: np.ndarray) -> np.ndarray:
    """8-bit patches as they are; 16-bit ones as float32 in [0, 1], which is what noise and network expect."""
    return pixels if pixels.dtype == np.uint8 else (pixels.astype(np.float32) / 65535.0)


def to_tensor(images: list[np.ndarray]) -> torch.Tensor:
    """(H, W, C) arrays to one (B, C, H, W) tensor of the same type, channels last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def loader(
    dataset: Any, batches: Any, collate: Callable[[list[Any]], Any], workers: int, seed: int
) -> DataLoader[Any]:
    """A loader with its own generator, so that it never takes from torch's global one."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if workers else None,
    )


def in_batches(count: int, size: int) -> list[range]:
    """0..count cut into consecutive batches of `size`, the last one shorter."""
    return [range(i, min(i + size, count)) for i in range(0, count, size)]
