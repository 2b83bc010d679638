"""A file of embeddings written from memory: what the shards of a labelling must come to, byte for byte."""

from pathlib import Path

import h5py

from stages.predict.embedding import Embeddings


def write_embeddings(path: Path, found: Embeddings) -> None:
    path.unlink(missing_ok=True)  # what was read from it is mapped, and stays as it was
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=found.ids.astype("u8", copy=False))
        file.create_dataset("values", data=found.values.astype("f2", copy=False))
