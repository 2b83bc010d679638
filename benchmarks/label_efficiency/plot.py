"""Balanced accuracy by round, a row of panels a fraction, a panel a column, with the baselines as lines.

Needs matplotlib; nothing else does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.label_efficiency.summary import BASE
from data.files.atomic import replacing

TITLES = {"pool": "the pool itself", "unseen": "slides never seen"}
LINES: dict[str, tuple[str, Any]] = {
    "probe": ("linear probe", ":"),
    "self_training": ("self-training on the same features", "-."),
    "all_probe": ("all labels, linear probe", (0, (1, 4))),
    "all_network": ("all labels, same network", "--"),
}
Row = Mapping[str, Any]


def draw(rows: Sequence[Row], title: str, path: Path) -> bool:
    """Write the PNG from the rows of `summary.table`; False where matplotlib is not installed."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    fractions = sorted({row["fraction"] for row in rows if row["fraction"] < 1})
    height = max(1, len(fractions))
    figure, grid = pyplot.subplots(height, 2, figsize=(11, 1.4 + 3.3 * height), sharey="row", squeeze=False)
    colours = colours_of(rows)
    for panels, fraction in zip(grid, fractions, strict=False):
        for panel, column in zip(panels, TITLES, strict=True):
            _panel(panel, [row for row in rows if column in row and row["fraction"] in (fraction, 1)], column, colours)
            panel.set_title(f"{100 * fraction:g} % of the labels, {TITLES[column]}", fontsize=10)
        panels[0].set_ylabel("balanced accuracy")
    for panel in grid[-1]:
        panel.set_xlabel("rounds done (0: labels only)")
    entries = {name: line for panel in grid.flat for line, name in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.suptitle(title)
    figure.legend(list(entries.values()), list(entries), loc="lower center", ncols=3, fontsize=8, handlelength=4)
    figure.tight_layout(rect=(0, 0.9 / (1.4 + 3.3 * height), 1, 1))
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png", metadata={"Software": None})
    pyplot.close(figure)
    return True


def colours_of(rows: Sequence[Row]) -> dict[str, str]:
    """One colour a preset in every panel, the first for what was run most."""
    run = Counter(row["method"] for row in rows if row["round"] is not None and row["fraction"] < 1)
    order = sorted(run, key=lambda name: (-run[name], name))
    return {name: f"C{i % 10}" for i, name in enumerate(order)}


def _panel(panel: Any, rows: Sequence[Row], column: str, colours: Mapping[str, str]) -> None:
    chains = [row for row in rows if row["round"] is not None and row["fraction"] < 1]
    most = max((len(row["seeds"]) for row in chains), default=0)
    for preset, share in sorted({(row["method"], row["validation"]) for row in chains}):
        own = [row for row in chains if (row["method"], row["validation"]) == (preset, share)]
        found = [row[column][BASE] for row in own]
        x, colour = [row["round"] for row in own], colours[preset]
        style = "-" if share else (0, (5, 1))
        name = f"{preset}, {100 * share:g} % of the labels validate" if share else f"{preset}, no validation"
        if len(own[0]["seeds"]) < most:
            # seeds differ more than presets do: a mean over fewer of them is no rival by itself
            name += f", seed {', '.join(map(str, own[0]['seeds']))} alone"
        panel.plot(
            x, [one["mean"] for one in found], linestyle=style, color=colour, marker="o", markersize=3, label=name
        )
        if all(one["low"] is not None for one in found):
            panel.fill_between(
                x, [one["low"] for one in found], [one["high"] for one in found], alpha=0.08, color=colour
            )
    for method, (name, dashes) in LINES.items():
        # of the probes of one fraction one is enough, that of most seeds: they spend the same number of labels
        if own := [row for row in rows if row["method"] == method]:
            best = max(own, key=lambda row: (len(row["seeds"]), row["validation"]))
            panel.axhline(best[column][BASE]["mean"], linestyle=dashes, color="0.3", lw=1, label=name)
    panel.xaxis.get_major_locator().set_params(integer=True)
