"""A round's pseudo-labels, and all that it believes of its pool, as data frames for notebooks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.directory.layout import Layout
from pipeline.report.run import Round, Run

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
    opened = Run.open(Layout(Path(run)))
    found = opened.round(round)
    chosen = found.selection
    own = {
        "label": _named(opened, chosen.label),
        "confidence": chosen.confidence,
        "weight": chosen.weight,
        "copies": chosen.copies,
        "first_round": chosen.first_round,
    }
    return _frame(opened, found, found.kept_rows, own)


def beliefs(run: Path | str, round: int) -> "pd.DataFrame":
    """What a round believes of every patch of its pool, kept or not: a row a patch.

    Columns as of `pseudo_labels`, but in place of what only a pseudo-label has: `predicted` (class name), `confidence`
    (calibrated probability of it), `margin` (over the second class), `kept`, and `first_round`, -1 where it is not
    kept. Raises what `pseudo_labels` raises.
    """
    opened = Run.open(Layout(Path(run)))
    found = opened.round(round)
    own = {
        "predicted": _named(opened, found.predicted),
        "confidence": found.confidence,
        "margin": found.margin,
        "kept": found.kept,
        "first_round": found.first_round,
    }
    return _frame(opened, found, np.arange(len(found.pool)), own)


def _frame(opened: Run, found: Round, of_pool: np.ndarray, own: dict[str, Any]) -> "pd.DataFrame":
    """A row for each of these rows of the pool (M,): what `own` says of it between what is known of the patch."""
    import pandas as pd

    rows, probs, table = found.rows[of_pool], found.probs(of_pool), opened.table
    columns: dict[str, Any] = {"id": [f"{int(one):016x}" for one in found.pool.ids[of_pool]], "row": rows, **own}
    columns |= {f"p_{name}": probs[:, code] for code, name in enumerate(opened.classes)}
    for name in ("slide", "patient", "site", "source"):
        column = getattr(table, name)
        columns[name] = np.append(column.names.astype(object), "")[column.codes[rows]]
    columns["place"] = [opened.store.key(int(row)) for row in rows]
    columns |= {name: np.asarray(values)[rows] for name, values in opened.store.numbers.items()}
    return pd.DataFrame(columns)


def _named(opened: Run, codes: np.ndarray) -> "pd.Categorical":
    import pandas as pd

    return pd.Categorical.from_codes(codes.astype(np.int64), list(opened.classes))
