"""How a finished network sees patches: what goes into its classifier, for maps and for labels that look wrong."""

import time
from pathlib import Path

import numpy as np
import torch

from data.images import Images
from data.splits.written import load_splits
from data.stain_normaliser import load_normaliser
from data.store.patch_store import PatchStore
from stages.loading import in_batches, to_tensor
from stages.networks.create import load_network
from stages.networks.ensemble import Ensemble
from stages.predict.embedding import Tap
from stages.predict.scoring import normalise

BATCH = 64


def embed(model: Path, store: Path, splits: Path, ids: np.ndarray, seconds: float) -> np.ndarray:
    """Embeddings of the first M of `ids` (N,), as many as `seconds` allow but at least one batch: (M, D) float32.

    model, store, splits: directories of finished steps. Clean patches, eval mode; of an ensemble the first member.
    On a GPU where there is one. Raises ChainError as reading the three does.
    """
    network, card = load_network(model)
    mean, std = card.mean, card.std
    if isinstance(network, Ensemble):
        network, mean, std = network.members[0], list(card.members[0].mean), list(card.members[0].std)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device).eval()
    patches = PatchStore(store / "patches.h5")
    assert len(load_splits(splits).classes) == len(card.classes)
    images = Images(patches, load_normaliser(splits, patches))
    rows = patches.rows(ids)
    statistics = [torch.tensor(values, device=device).view(-1, 1, 1) for values in (mean, std)]
    found: list[np.ndarray] = []
    tap, until = Tap(network), time.monotonic() + seconds
    with torch.inference_mode():
        for batch in in_batches(len(rows), BATCH):
            image = to_tensor([images.image(int(rows[index])) for index in batch]).to(device)
            network(normalise(image, *statistics))
            found.append(tap.take().cpu().numpy())
            if time.monotonic() > until:
                break
    return np.concatenate(found) if found else np.empty((0, 1), np.float32)
