"""What the finished models say of the test patches, by one piece of code for all sides."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.beside_others.patches import Rows

BATCH = 128


def weights_file(network: str, weights: Path, path: Path) -> None:
    """The weights that all sides begin with, without the classifier, as a checkpoint that WILDS reads."""
    import timm
    import torch
    from safetensors.torch import load_file

    model = timm.create_model(network)
    model.load_state_dict(load_file(weights), strict=True)
    last = model.pretrained_cfg["classifier"]
    torch.save({name: v for name, v in model.state_dict().items() if not name.startswith(f"{last}.")}, path)


def network_of(network: str, path: Path) -> tuple[Any, list[float], list[float]]:
    """The network as it begins, and the mean and deviation of colours it was made with; random without the file."""
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(network)
    if path.is_file():
        _, extra = model.load_state_dict(torch.load(path, weights_only=True), strict=False)
        assert not extra
    return model, *(list(model.pretrained_cfg[name]) for name in ("mean", "std"))


def images(folder: Path, paths: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> Iterator[Any]:
    """Batches (B, 3, H, W) float32, in the order of the paths."""
    import torch

    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    for start in range(0, len(paths), BATCH):
        pixels = [np.asarray(Image.open(folder / path).convert("RGB")) for path in paths[start : start + BATCH]]
        yield (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255 - shift) / scale


def chain_says(folder: Path, rows: Rows, final: Path) -> np.ndarray:
    """(N,) codes of the test patches, by the model a chain hands over."""
    from stages.networks.create import load_network

    model, card = load_network(final)
    return _said(model, folder, rows, card.mean, card.std)


def wilds_says(folder: Path, rows: Rows, network: str, checkpoint: Path) -> np.ndarray:
    """The same by a student of WILDS, with the colours its transforms have."""
    import timm
    import torch

    model = timm.create_model(network, num_classes=len(rows.classes))
    last = model.pretrained_cfg["classifier"]
    state = torch.load(checkpoint, weights_only=True)["algorithm"]
    named = {name.removeprefix("model.").replace("featurizer.", "", 1): value for name, value in state.items()}
    model.load_state_dict({name.replace("classifier.", f"{last}.", 1): value for name, value in named.items()})
    return _said(model.eval(), folder, rows, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def _said(model: Any, folder: Path, rows: Rows, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    import torch

    paths = [rows.paths[row] for row in rows.of("test")]
    with torch.inference_mode():
        return np.concatenate([model(batch).argmax(1).numpy() for batch in images(folder, paths, mean, std)])
