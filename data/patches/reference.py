"""A patch whose pixels stay where they lie, in its slide or in the store of its unit: where to read them again."""

import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from data.pixels.bad_patch import BadPatch
from data.pixels.modes import mode_of

IN_STORE = b'{"store": '  # what canonical JSON of a reference into a store begins with, and of no other


@dataclass(frozen=True, slots=True)
class Reference:
    """payload: canonical JSON, UTF-8, of a slide, the place in it and how it is read (see data.wsi.reading), or of
    a store's file and the place in that (see data.patches.link).

    digest: of the pixels as they were read when the patch was prepared; None: not known.
    """

    payload: bytes
    digest: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def lies_in(self) -> Literal["slide", "store"]:
        """What kind of file the pixels lie in."""
        return "store" if self.payload.startswith(IN_STORE) else "slide"

    def pixels(self) -> np.ndarray:
        """(H, W, C) as the slide, (S, S, 3) uint8, or the store gives them now.

        Raises ChainError (66, 74, 76), BadPatch when they cannot be read, or are not those that were prepared.
        """
        # what decodes and reads is loaded where something is read, nowhere else
        from data.pixels.decode import pixel_digest

        if self.lies_in == "store":
            from data.patches.link import read_link as read
        else:
            from data.wsi.reading import read_reference as read
        pixels = read(self.payload)
        if self.digest is not None and pixel_digest(pixels, mode_of(pixels)) != self.digest:
            raise BadPatch(
                f"its {self.lies_in} has changed: the pixels in {self._file()} are not those that were prepared"
            )
        return pixels

    def _file(self) -> str:
        """The path of a reference that could be read."""
        said = json.loads(self.payload)
        return str(said["store"]["path"] if self.lies_in == "store" else said["slide"])
