"""The preparation of kind `slides`: its settings, and the work they stand for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.preparation import Progress, Refusal, Unit
from data.slides.config import SlidesConfig


class Slides(SlidesConfig):
    """Whole slides to patches. OpenSlide and what reads pixels are imported when they are asked."""

    def units(self, key: bytes) -> list[Unit | Refusal]:
        """Every slide, by its path below the folder. Raises ChainError (65, 66): nothing found, a broken table."""
        from data.slides.listing import listed

        return listed(self)

    def slips(self) -> Sequence[str]:
        """Annotations that are none of these slides'."""
        from data.slides.listing import all_bare

        if self.annotations is None or self.annotations.missing != "unlabelled" or not all_bare(self):
            return ()
        return [
            f"annotations.path: {self.annotations.path} has annotations of none of the slides: their patches get no "
            "label, and to label them is to prepare them again"
        ]

    def look_beside(self, unit: Unit) -> None:
        """Read the slide's annotations."""
        from data.slides.annotations import load_annotations
        from data.slides.listing import listed_again

        if self.annotations is not None:
            one = listed_again(self, unit)
            load_annotations(self.annotations, one.key, one.info.size_px, one.info.mpp, one.info.bounds_px)

    def prepare(self, unit: Unit, out: Path, threads: int, progress: Progress, key: bytes) -> dict[str, Any]:
        """See `data.slides.unit.prepare_slide`."""
        from data.slides.unit import prepare_slide

        return prepare_slide(self, unit, out, threads, progress)
