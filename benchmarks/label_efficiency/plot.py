"""Balanced accuracy by round, one panel a column, with the baselines as lines. Needs matplotlib; nothing else does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.label_efficiency.summary import BASE
from data.atomic import replacing

TITLES = {"pool": "the pool itself", "unseen": "slides never seen"}
LINES = {"probe": ":", "self_training": "-.", "all_probe": (0, (1, 3)), "all_network": "--"}
SHOWN = {
    "probe": "linear probe",
    "self_training": "self-training",
    "all_probe": "all labels, probe",
    "all_network": "all labels",
}


def draw(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> bool:
    """Write the PNG from the rows of `summary.table`; False where matplotlib is not installed."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    for panel, column in zip(panels, TITLES, strict=True):
        shown = [row for row in rows if column in row]
        fractions = sorted({row["fraction"] for row in shown if row["fraction"] < 1})
        for series in sorted(
            {
                (r["fraction"], r["validation"], r["method"])
                for r in shown
                if r["round"] is not None and r["fraction"] < 1
            }
        ):
            own = [row for row in shown if (row["fraction"], row["validation"], row["method"]) == series]
            figures = [row[column][BASE] for row in own]
            x, y = [row["round"] for row in own], [figure["mean"] for figure in figures]
            colour = f"C{fractions.index(series[0])}"
            style = {"linestyle": "-" if series[1] else (0, (5, 1)), "color": colour, "marker": "o", "markersize": 3}
            panel.plot(
                x, y, label=f"{series[2]}, {100 * series[0]:g} %" + ("" if series[1] else ", no validation"), **style
            )
            if all(figure["low"] is not None for figure in figures):
                panel.fill_between(
                    x, [f["low"] for f in figures], [f["high"] for f in figures], alpha=0.08, color=colour
                )
        for row in shown:
            if row["method"] in LINES:
                colour = "0.3" if row["fraction"] == 1 else f"C{fractions.index(row['fraction'])}"
                label = SHOWN[row["method"]] if row["fraction"] == 1 or row["fraction"] == fractions[0] else None
                panel.axhline(
                    row[column][BASE]["mean"], linestyle=LINES[row["method"]], color=colour, lw=1, label=label
                )
        panel.set_title(TITLES[column])
        panel.set_xlabel("rounds done (0: labels only)")
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("balanced accuracy")
    panels[1].legend(fontsize=7)
    figure.suptitle(title)
    figure.tight_layout()
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png", metadata={"Software": None})
    pyplot.close(figure)
    return True
