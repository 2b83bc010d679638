"""A patch on the page: its picture, what is believed of it, whose it is and where it lies."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.patches.ids import id_text
from data.patches.table import PatchTable
from data.printable import printable, shortened
from data.store.patch_store import PatchStore
from pipeline.report.patches import Pictures

SHOWN_CLASSES = 5  # of the probabilities on a card, the likeliest


@dataclass(frozen=True)
class Card:
    """One patch. image: a data URI; probs: (class, code, probability), the likeliest first; notes: more lines."""

    id: str
    image: str
    alt: str
    probs: list[tuple[str, int, float]]
    slide: str
    patient: str
    place: str
    notes: list[str]


class Cards:
    """Cards of the patches of one store."""

    def __init__(self, store: PatchStore, table: PatchTable, classes: Sequence[str]) -> None:
        self._store, self._table, self._classes = store, table, classes
        self._pictures = Pictures(store)
        self._numbers = store.numbers

    def card(self, patch_id: int, probs: np.ndarray, notes: Sequence[str] = ()) -> Card:
        """probs: (C,) of the patch; notes: what is special about it, in words."""
        (row,) = self._store.rows(np.array([patch_id], np.uint64))
        kind, image = self._pictures.small(patch_id)
        order = np.argsort(-probs, kind="stable")[:SHOWN_CLASSES]
        likeliest = [(said(self._classes[code]), int(code), float(probs[code])) for code in order]
        return Card(
            id_text(patch_id),
            f"data:{kind};base64,{base64.b64encode(image).decode()}",
            f"patch {id_text(patch_id)}, looks like {likeliest[0][0]}",
            likeliest,
            said(self._table.slide[row]),
            said(self._table.patient[row]),
            self._place(int(row)),
            [said(note, 200) for note in notes],
        )

    def _place(self, row: int) -> str:
        found = []
        for names, unit in ((("x_px", "y_px"), "px"), (("x_mm", "y_mm", "z_mm"), "mm")):
            if all(name in self._numbers for name in names):
                values = [float(self._numbers[name][row]) for name in names]
                if all(np.isfinite(values)):
                    found.append(
                        ", ".join(f"{name[0]} {value:,.0f}" for name, value in zip(names, values, strict=True))
                    )
                    found[-1] += f" {unit}"
        return "; ".join(found) or said(self._store.key(row))


def said(text: str, length: int = 80) -> str:
    """A name of a user's as the page shows it: control and direction characters spelled out, shortened."""
    return shortened(printable(text), length)
