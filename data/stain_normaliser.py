"""Macenko normalisation of a store's patches: whose stain is taken from where, and where it is written.

The target is the middle (median) of the training slides' stains. A slide with training patches is fitted on those
alone, any other slide on its own patches: so no pixel of validation or test changes what training sees. Patches of no
known slide are fitted one by one. Where there is too little stain for a fit the patch is left as it is.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.augment.macenko import Stains, fit, normalised, stained_pixels, transfer
from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.keys import uniform
from data.splits.units import slides
from data.store.patch_store import PatchStore

SLIDE_PATCHES = 64  # looked at of one slide
LOOSE_PATCHES = 500  # looked at where no slide is known
FILE = "stain.json"


@dataclass(frozen=True)
class StainNormaliser:
    """Patches of a store as if the target had stained them.

    slide: (N,) int32 a row of the store, -1 unknown; matrices: (K, 3, 3) a slide; fitted: (K,) bool.
    """

    target: Stains
    slide: np.ndarray
    matrices: np.ndarray
    fitted: np.ndarray

    def __call__(self, pixels: np.ndarray, row: int) -> np.ndarray:
        """pixels: (S, S, 3) uint8 of that row; returns the same shape and type."""
        slide = int(self.slide[row])
        if slide >= 0:
            return normalised(pixels, self.matrices[slide]) if self.fitted[slide] else pixels
        own = fit([stained_pixels(pixels)])
        return pixels if own is None else normalised(pixels, transfer(own, self.target))

    def card(self) -> dict[str, Any]:
        """What `model.json` says, for whoever uses the model elsewhere."""
        return {"method": "macenko", **self.target.plain(), "density": "-ln((value + 1) / 256)"}


@dataclass(frozen=True)
class FoundStains:
    """What was fitted. sources: a slide, in the order of their codes; None: too little stain."""

    target: Stains
    sources: tuple[Stains | None, ...]

    def save(self, directory: Path) -> None:
        """Write stain.json."""
        plain = [None if source is None else source.plain() for source in self.sources]
        write_json(directory / FILE, {"method": "macenko", "target": self.target.plain(), "slides": plain})

    def normaliser(self, store: PatchStore) -> StainNormaliser:
        """For the store they were fitted on."""
        _, codes = _slides(store)
        matrices = [np.eye(3) if source is None else transfer(source, self.target) for source in self.sources]
        fitted = np.array([source is not None for source in self.sources], bool)
        return StainNormaliser(self.target, codes, np.array(matrices).reshape(-1, 3, 3), fitted)


def find_stains(store: PatchStore, training: np.ndarray, seed: int) -> FoundStains:
    """Fit the target and every slide. training: (T,) uint64 ids of the labelled patches and the pool.

    Raises ChainError (65) when the training patches hold too little stain, (78) when they are not RGB.
    """
    if store.mode != "rgb8":
        raise ChainError(
            "splits.stain: macenko is for colour patches",
            f"these are {store.mode}",
            "set splits.stain: none",
            ExitCode.MISMATCH,
        )
    count, codes = _slides(store)
    trains = np.zeros(len(store), bool)
    trains[store.rows(training)] = True
    # a slide's rows without sorting them once for each slide
    by_slide = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[by_slide], np.arange(count + 1))
    sources, of_training = [], []
    for slide in range(count):
        rows = by_slide[edges[slide] : edges[slide + 1]]
        has_training = trains[rows].any()
        found = fit(_stained(store, rows[trains[rows]] if has_training else rows, SLIDE_PATCHES, seed))
        sources.append(found)
        of_training += [found] if has_training and found is not None else []
    if not of_training:
        pooled = fit(_stained(store, np.flatnonzero(trains), LOOSE_PATCHES, seed))
        if pooled is None:
            raise ChainError(
                "splits.stain: macenko: the training patches hold too little stain to fit",
                "nearly all of their pixels are as bright as glass, or of one colour",
                "look at the patches, or set splits.stain: none",
                ExitCode.BAD_DATA,
            )
        of_training = [pooled]
    return FoundStains(middle(of_training), tuple(sources))


def middle(found: list[Stains]) -> Stains:
    """The median of several slides' stains, value by value."""
    rows = np.median([stains.directions for stains in found], axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Stains.of({"directions": rows, "tops": np.median([stains.tops for stains in found], axis=0)})


def load_normaliser(directory: Path, store: PatchStore) -> StainNormaliser | None:
    """What the splits of a store were drawn with; None without normalisation. Raises ChainError (76)."""
    path = directory / FILE
    if not path.exists():
        return None
    try:
        plain: dict[str, Any] = json.loads(path.read_text())
        sources = tuple(None if one is None else Stains.of(one) for one in plain["slides"])
        found = FoundStains(Stains.of(plain["target"]), sources)
    except (ValueError, KeyError, TypeError) as error:
        raise ChainError(
            f"{path} cannot be read", str(error), "make it again: rerun RUN --from data/splits", ExitCode.DAMAGED
        ) from error
    assert len(sources) == _slides(store)[0], "the splits belong to this store"
    return found.normaliser(store)


def _slides(store: PatchStore) -> tuple[int, np.ndarray]:
    codes = slides(store.table())
    known, dense = np.unique(codes, return_inverse=True)
    unknown = int(len(known) > 0 and known[0] < 0)
    return len(known) - unknown, (dense - unknown).astype(np.int32)


def _stained(store: PatchStore, rows: np.ndarray, most: int, seed: int) -> Iterable[np.ndarray]:
    """Optical densities of the stained pixels of at most `most` of some rows, drawn by seed and patch id."""
    chosen = rows[np.argsort(uniform(store.ids[rows], "stain", seed), kind="stable")[:most]]
    # in an order of ids, so that a row's place in the store does not matter
    for row in chosen:
        yield stained_pixels(store.pixels(int(row)))
