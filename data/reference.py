"""A patch whose pixels stay in its slide: where to read them again."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Reference:
    """payload: canonical JSON, UTF-8, of the slide's path, the place and how it is read; see data.slides.reading."""

    payload: bytes

    def pixels(self) -> np.ndarray:
        """(S, S, 3) uint8 as the slide gives them now. Raises ChainError (66, 76), BadPatch."""
        from data.slides.reading import read_reference  # OpenSlide is loaded where a slide is read, nowhere else

        return read_reference(self.payload)
