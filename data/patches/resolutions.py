"""At what resolution the patches of each source were cut, where it was written down of them."""

from collections.abc import Mapping

import numpy as np

from data.patches.listing import Listing

# number column -> its unit: slides are cut at microns, CT at millimetres
COLUMNS = {"mpp": "um", "spacing_mm": "mm"}
ALIKE = 1.05


def warn_of_resolutions(listing: Listing, sources: Mapping[str, range]) -> list[str]:
    """A warning for each column of which the patches of a chain differ by more than 5 %; else none.

    sources: rows of each, by name. Between sources cut at 0.25 and 0.5 um/px the same nucleus is twice as wide, and a
    network learns which source a patch is from where it should learn what is in it.
    """
    columns = listing.numbers()
    return [
        warning
        for column, unit in COLUMNS.items()
        if column in columns and (warning := _warning(columns[column], unit, sources))
    ]


def _warning(values: np.ndarray, unit: str, sources: Mapping[str, range]) -> str | None:
    spans = {}
    for name, rows in sources.items():
        known = values[rows.start : rows.stop]
        known = known[known > 0]  # NaN is not
        if len(known):
            spans[name] = (float(known.min()), float(known.max()))
    if not spans:
        return None
    finest = min(spans, key=lambda name: spans[name][0])
    coarsest = max(spans, key=lambda name: spans[name][1])
    if spans[coarsest][1] <= ALIKE * spans[finest][0]:
        return None
    said = " and ".join(f"source {name} at {_span(*spans[name], unit)}" for name in dict.fromkeys((finest, coarsest)))
    return (
        f"patches were cut at unlike resolutions: {said}. The same tissue then has two sizes, and a network may tell "
        "sources apart by it. Prepare them at one resolution, unless data.resize makes up for it"
    )


def _span(low: float, high: float, unit: str) -> str:
    return f"{low:.4g} {unit}/px" if high <= ALIKE * low else f"{low:.4g} to {high:.4g} {unit}/px"
