"""What a network sees in a patch: the values that its classifier reads, by patch id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.errors import ChainError, ExitCode
from stages.blocks import taken

OF_TEACHER, OF_ENCODER, OF_STYLE = "embeddings.h5", "encoder.h5", "style.h5"


@dataclass(frozen=True)
class Embeddings:
    """ids: (N,) uint64 ascending; values: (N, D) float16."""

    ids: np.ndarray
    values: np.ndarray

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Of these patches, all of which must be there: (M, D) float32."""
        rows = np.searchsorted(self.ids, ids)
        assert np.array_equal(self.ids[np.minimum(rows, len(self.ids) - 1)], ids), "a patch has no embedding"
        return taken(self.values, rows).astype(np.float32)


class Tap:
    """Listens at the classifier of a network, or at those of an ensemble, whose embeddings stand side by side."""

    def __init__(self, network: torch.nn.Module) -> None:
        heads = _classifiers(network)
        self._heard: list[list[torch.Tensor]] = [[] for _ in heads]
        for head, heard in zip(heads, self._heard, strict=True):
            head.register_forward_pre_hook(_listener(heard))

    def take(self) -> torch.Tensor:
        """Of the batch that went through since last asked, averaged over its views: (B, width) float32."""
        found = torch.cat([torch.stack(heard).mean(0) for heard in self._heard], dim=1)
        self.forget()
        return found

    def forget(self) -> None:
        """What went through since last asked is nobody's embedding."""
        for heard in self._heard:
            heard.clear()


def embedding_width(network: torch.nn.Module) -> int:
    """Values a patch that a `Tap` hears."""
    return sum(_width(head) for head in _classifiers(network))


def lay_out_embeddings(path: Path, ids: np.ndarray, width: int) -> np.ndarray:
    """A file of `ids`, (N,) ascending, and room for their `values`: (N, D) float16, a view to write them through."""
    from data.files.hdf5 import h5py, laid_out, writable

    assert bool((ids[1:] > ids[:-1]).all()), "ids not ascending"
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=ids.astype(np.uint64, copy=False))
        place = laid_out(file, "values", (len(ids), width), np.dtype(np.float16))
    return writable(path, [place])[0]


def read_embeddings(path: Path) -> Embeddings:
    """The file's own arrays, mapped: what is asked of them is read. Raises ChainError: 66 absent, 76 damaged."""
    from data.files.hdf5 import read_arrays

    return Embeddings(**read_arrays(path, ("ids", "values"), ExitCode.DAMAGED, mapped=True))


def _classifiers(network: torch.nn.Module) -> list[torch.nn.Linear | torch.nn.Conv2d]:
    return [_classifier(one) for one in getattr(network, "members", [network])]


def _classifier(network: torch.nn.Module) -> torch.nn.Linear | torch.nn.Conv2d:
    name = getattr(network, "pretrained_cfg", {}).get("classifier")
    name = name[0] if isinstance(name, tuple | list) else name  # a distilled transformer has two
    head = network.get_submodule(name) if name else None
    if not isinstance(head, torch.nn.Linear | torch.nn.Conv2d):
        raise ChainError(
            f"{type(network).__name__} has no embeddings to take",
            "they are what a linear classifier reads, and its last layer is none",
            "leave predict.embeddings and predict.encoder out, or choose another backbone",
            ExitCode.MISMATCH,
        )
    return head


def _width(head: torch.nn.Linear | torch.nn.Conv2d) -> int:
    return head.in_features if isinstance(head, torch.nn.Linear) else head.in_channels


def _listener(heard: list[torch.Tensor]) -> Any:
    def listen(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        seen = args[0].detach().float()
        # a convolution as classifier is given a map, (B, D, H, W)
        heard.append(seen.flatten(2).mean(2) if seen.ndim > 2 else seen)

    return listen
