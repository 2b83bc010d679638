"""A round's pseudo-labels as a data frame, for notebooks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.directory.layout import Layout
from pipeline.report.run import Run

if TYPE_CHECKING:
    import pandas as pd


def pseudo_labels(run: Path | str, round: int) -> "pd.DataFrame":
    """Every row of a round's selection, with class names, probabilities, owners and places.

    Columns: `id` (16 hex digits), `row` (of the store), `label` (class name), `confidence` (calibrated probability of
    the label), `weight`, `copies`, `first_round`, `p_CLASS` for every class, `slide`, `patient`, `site`, `source`
    (empty: unknown), `place` (in its source), and every number the store has of a patch (`x_px`, `y_px`, `mpp`, ...).
    A patch may stand under several labels. Raises ChainError: 66 where there is no run directory or the round has no
    selection, 76 where a file cannot be read.
    """
    import pandas as pd

    opened = Run.open(Layout(Path(run)))
    found = opened.round(round)
    chosen, table = found.selection, opened.table
    rows = found.rows[found.kept_rows]
    columns: dict[str, Any] = {
        "id": [f"{int(one):016x}" for one in chosen.ids],
        "row": rows,
        "label": pd.Categorical.from_codes(chosen.label.astype(np.int64), list(opened.classes)),
        "confidence": chosen.confidence,
        "weight": chosen.weight,
        "copies": chosen.copies,
        "first_round": chosen.first_round,
    }
    probs = found.probs(found.kept_rows)
    columns |= {f"p_{name}": probs[:, code] for code, name in enumerate(opened.classes)}
    for name in ("slide", "patient", "site", "source"):
        column = getattr(table, name)
        columns[name] = np.append(column.names.astype(object), "")[column.codes[rows]]
    columns["place"] = [opened.store.key(int(row)) for row in rows]
    columns |= {name: np.asarray(values)[rows] for name, values in opened.store.numbers.items()}
    return pd.DataFrame(columns)
