"""What the sources say of labels and splits. Only the split stage and the store reader ask: others get drawn labels."""

from dataclasses import dataclass
from pathlib import Path

from data.patches.table import Column
from data.store.format import SOURCE_LABELS, map_store


@dataclass(frozen=True)
class SourceLabels:
    """One row a patch, in the store's row order.

    label: as the source names it, unknown for patches without; split: what the source itself says
    (train, labelled, pool, validation, test), mostly unknown; part: the part its source plays (never unknown).
    """

    label: Column
    split: Column
    part: Column


def read_source_labels(path: Path) -> SourceLabels:
    """The labels beside the patches of a store. Raises ChainError as `PatchStore` does."""
    store = map_store(path)
    return SourceLabels(*(store.column(f"source_labels/{name}") for name in SOURCE_LABELS))
