"""A folder of patches as a data set of WILDS, labelled and unlabelled."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.beside_others.patches import Rows, read
from stages.measures import quality

NAME, METRIC = "patches", "balanced_accuracy"
SPLITS = {"train": 0, "validation": 1, "test": 2}
POOL = 10  # WILDS' code of the split `train_unlabeled`


def defaults() -> dict[str, Any]:
    """The set's entry in WILDS' table of defaults."""
    return {
        "split_scheme": "official", "transform": "image_base", "loss_function": "cross_entropy",
        "algo_log_metric": "accuracy", "val_metric": METRIC, "val_metric_decreasing": False,
        "process_outputs_function": "multiclass_logits_to_pred",
        "process_pseudolabels_function": "pseudolabel_multiclass_logits",
    }  # fmt: skip


def balanced_accuracy(said: np.ndarray, truth: np.ndarray) -> float:
    """As the chain measures it, for all sides. said, truth: (N,) codes."""
    return quality.balanced_accuracy(quality.confusion(truth, said, int(max(said.max(), truth.max())) + 1))


class _Folder:
    """Common to both: what WILDS asks a set for."""

    _dataset_name, _split_scheme = NAME, "official"
    _versions_dict = {"1.0": {"download_url": None, "compressed_size": None}}  # noqa: RUF012  as WILDS has it

    def _take(self, version: str | None, root_dir: str, rows: Rows, chosen: np.ndarray, split: np.ndarray) -> None:
        import torch

        self._version, self._data_dir = version, root_dir
        self._files = [Path(root_dir) / rows.paths[row] for row in chosen]
        self._split_array = split
        with Image.open(self._files[0]) as image:
            self._original_resolution = image.size
        self._metadata_fields = ["y"]
        # of the pool nothing is known: WILDS prints its groups by this column, and takes no negative ones
        self._metadata_array = torch.as_tensor(np.maximum(rows.label[chosen], 0))[:, None]

    def get_input(self, index: int) -> Image.Image:
        """An RGB image."""
        return Image.open(self._files[index]).convert("RGB")


def labelled_set(base: type) -> type:
    """On WILDSDataset: the patches whose labels the manifest gives, in WILDS' three splits."""

    class Labelled(_Folder, base):  # type: ignore[misc]
        def __init__(
            self, version: str | None, root_dir: str, download: bool = False, split_scheme: str | None = None
        ) -> None:
            import torch

            rows = read(Path(root_dir))
            chosen = np.flatnonzero(rows.label >= 0)
            self._take(version, root_dir, rows, chosen, np.array([SPLITS[rows.split[row]] for row in chosen]))
            self._y_array, self._y_size = torch.as_tensor(rows.label[chosen]), 1
            self._n_classes = len(rows.classes)
            base.__init__(self, root_dir, download, split_scheme)

        def eval(self, y_pred: Any, y_true: Any, metadata: Any) -> tuple[dict[str, float], str]:
            """What decides which epoch is kept."""
            found = balanced_accuracy(np.asarray(y_pred), np.asarray(y_true))
            return {METRIC: found}, f"{METRIC}: {found:.3f}\n"

    return Labelled


def pool_set(base: type) -> type:
    """On WILDSUnlabeledDataset: the pool, as `train_unlabeled`."""

    class Pool(_Folder, base):  # type: ignore[misc]
        def __init__(
            self, version: str | None, root_dir: str, download: bool = False, split_scheme: str | None = None
        ) -> None:
            rows = read(Path(root_dir))
            chosen = rows.of("pool")
            self._take(version, root_dir, rows, chosen, np.full(len(chosen), POOL))
            base.__init__(self, root_dir, download, split_scheme)

    return Pool
