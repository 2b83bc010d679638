"""Frozen features and colours of every patch, taken once and kept: what probes learn from, and stand-ins for slides."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.label_efficiency.clusters import colours
from benchmarks.label_efficiency.listing import Listing
from data.errors import ChainError, ExitCode
from data.files.atomic import sha256_file, write_bytes, write_json
from data.pixels.decode import decode, strict_pillow

ENCODER = "tf_efficientnet_lite0"
BATCH = 128


def frozen_features(
    listing: Listing, weights: Path, px: int, kept_in: Path, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 1280) float32 of the patches at `px`, one clean view each, and their `colours` (N, A) float32.

    Raises ChainError: 66 without the weights, 78 when other ones were kept here.
    """
    if not weights.is_file():
        raise ChainError(
            f"{weights} is missing", f"the frozen encoder is {ENCODER} with these weights",
            "say with --weights where they lie", ExitCode.MISSING,
        )  # fmt: skip
    said = kept_in / "features.json"
    now = {"encoder": ENCODER, "weights": sha256_file(weights), "px": px, "patches": len(listing)}
    if said.is_file():
        before = json.loads(said.read_bytes())
        if {key: before[key] for key in now} != now:
            raise ChainError(
                f"{said}: features were taken otherwise ({before} before, {now} now)", "they are taken once a table",
                "name another --into, or remove the file", ExitCode.MISMATCH,
            )  # fmt: skip
        return np.load(kept_in / "features.npy"), np.load(kept_in / "colours.npy")
    begun = time.monotonic()
    features, histograms = _taken(listing, weights, px, device)
    for name, values in (("features", features), ("colours", histograms)):
        buffer = io.BytesIO()
        np.save(buffer, values)
        write_bytes(kept_in / f"{name}.npy", buffer.getvalue())
    write_json(said, now | {"seconds": round(time.monotonic() - begun, 1)})
    return features, histograms


def _taken(listing: Listing, weights: Path, px: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    network, normalised = encoder(weights, device)
    features, histograms = [], []
    with torch.inference_mode():
        for pixels, batch in batches(listing, px):
            histograms += [colours(patch) for patch in pixels]
            features.append(network(normalised(batch)).float().cpu().numpy())
    return np.concatenate(features), np.stack(histograms)


def batches(listing: Listing, px: int) -> Iterator[tuple[list[np.ndarray], torch.Tensor]]:
    """Patches as they are stored, and as RGB images (B, 3, px, px) in [0, 1], in the order of the listing."""
    with strict_pillow():
        for start in range(0, len(listing), BATCH):
            pixels = [_pixels(listing, key) for key in listing.key[start : start + BATCH]]
            batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
            if batch.shape[1] == 1:
                batch = batch.expand(-1, 3, -1, -1)
            if batch.shape[2] != px:
                batch = torch.nn.functional.interpolate(batch, (px, px), mode="bicubic", antialias=True).clamp(0, 1)
            yield pixels, batch


def encoder(weights: Path, device: str = "cpu") -> tuple[torch.nn.Module, Callable[[torch.Tensor], torch.Tensor]]:
    """The frozen network, which gives features (B, 1280), and what brings images in [0, 1] to its input."""
    import timm
    from safetensors.torch import load_file

    network: Any = timm.create_model(ENCODER)
    network.load_state_dict(load_file(weights), strict=True)  # every tensor, or an error: nothing stays random unseen
    network.reset_classifier(0)
    mean, std = (torch.tensor(network.pretrained_cfg[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std"))
    return network.eval().to(device), lambda image: (image.to(device) - mean) / std


def _pixels(listing: Listing, key: str) -> np.ndarray:
    pixels, mode, _ = decode((listing.root / str(key)).read_bytes())
    assert mode in ("rgb8", "grey8"), f"{key}: frozen features are of 8-bit patches"
    return pixels
