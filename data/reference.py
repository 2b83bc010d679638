"""A patch whose pixels stay in its slide: where to read them again."""

from dataclasses import dataclass, field

import numpy as np

from data.bad_patch import BadPatch


@dataclass(frozen=True, slots=True)
class Reference:
    """payload: canonical JSON, UTF-8, of the slide's path, the place and how it is read; see data.slides.reading.

    digest: of the pixels as they were read when the patch was prepared; None: not known.
    """

    payload: bytes
    digest: tuple[int, int] | None = field(default=None, compare=False)

    def pixels(self) -> np.ndarray:
        """(S, S, 3) uint8 as the slide gives them now.

        Raises ChainError (66, 76), BadPatch when they cannot be read, or are not those that were prepared.
        """
        from data.decode import pixel_digest  # what decodes and reads is loaded where a slide is read, nowhere else
        from data.slides.reading import read_reference

        pixels = read_reference(self.payload)
        if self.digest is not None and pixel_digest(pixels, "rgb8") != self.digest:
            raise BadPatch("its slide has changed: the pixels there are not those that were prepared")
        return pixels
