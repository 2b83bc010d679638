"""The preparation of kind `volumes`: its settings, and the work they stand for."""

from pathlib import Path
from typing import Any

from data.preparation import Progress, Refusal, Unit
from data.volumes.config import VolumesConfig


class Volumes(VolumesConfig):
    """CT volumes to patches in HU. SimpleITK and pydicom are imported when they are asked."""

    def units(self, key: bytes) -> list[Unit | Refusal]:
        """Every volume by its keyed hash. Raises ChainError (65, 66, 78): nothing found, a broken table."""
        from data.volumes.listing import listed

        return [item if isinstance(item, Refusal) else item.unit for item in listed(self, key)]

    def files(self, key: bytes) -> dict[str, tuple[Path, ...]]:
        """Of every volume, those that are refused among them: they are the ones to be looked for."""
        from data.volumes.discovery import find_volumes

        return {one.pseudonym: one.paths for one in find_volumes(self.path, key, self.pattern)}

    def named_labels(self) -> list[str]:
        """See Preparation."""
        from data.volumes.labelling import known_labels

        return known_labels(self)

    def prepare(self, unit: Unit, out: Path, threads: int, progress: Progress, key: bytes) -> dict[str, Any]:
        """See `data.volumes.unit.prepare_volume`."""
        from data.volumes.unit import prepare_volume

        return prepare_volume(self, unit, out, threads, progress, key)
