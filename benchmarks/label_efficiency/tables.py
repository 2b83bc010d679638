"""The rows and verdicts as Markdown, for the screen and for docs/results.md. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.label_efficiency.intervals import METRICS
from stages.measures.paired import MIN_GROUPS

NAMES = {
    "all_probe": "frozen encoder, linear probe",
    "all_colours": "colours alone, random forest",
    "all_network": "same network, same number of steps",
    "probe": "frozen encoder, linear probe",
    "self_training": "scikit-learn self-training, frozen features",
}
HEADS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "ece": "ECE"}
COLUMNS = {"pool": "The pool itself (audit by its hidden truth)", "unseen": "Slides never seen"}


def report(result: Mapping[str, Any]) -> str:
    """All of it. result: what results.json holds."""
    about = result["about"]
    unusable = f", {about['unusable']:,} more left out (damaged, or of another size)" if about.get("unusable") else ""
    parts = [
        f"`{about['command']}`",
        "",
        f"{about['patches']:,} patches, {about['judged_by']}{unusable}; {about['network']}, {about['px']} px, "
        f"seeds {', '.join(map(str, about['seeds']))}; {about['device']}.",
    ]
    random = [cell["random"]["balanced_accuracy"] for cell in result["cells"] if "random" in cell]
    if random:
        shown = f"{sum(random) / len(random):.3f}"
        parts += ["", f"With all labels the probe has a balanced accuracy of {shown} on patches held out at random."]
    for column, title in COLUMNS.items():
        rows = [row for row in result["table"] if column in row]
        if rows:
            groups = min((cell[column]["groups"] for cell in result["cells"] if column in cell), default=MIN_GROUPS)
            few = f"; no interval where under {MIN_GROUPS} patients or slides are judged, here {groups}"
            shown = few if groups < MIN_GROUPS else ""
            parts += ["", f"**{title}**: mean over seeds (95 % interval; worst seed{shown})", ""]
            parts += _table(rows, column, about["seeds"])
    if result["verdicts"]:
        parts += ["", *_verdicts(result["verdicts"])]
    if result["failed"]:
        parts += ["", *(f"- no result: {failed['cell']} {failed['why']}" for failed in result["failed"])]
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]], column: str, seeds: Sequence[int]) -> list[str]:
    heads = ["labels", "row", *(HEADS[metric] for metric in METRICS), "seconds"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = [
            _labels(row),
            _name(row) + ("" if row["seeds"] == list(seeds) else f" (seeds {', '.join(map(str, row['seeds']))})"),
            *(_cell(row[column][metric]) for metric in METRICS),
            f"{row['seconds']:,.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _labels(row: Mapping[str, Any]) -> str:
    labels = row["labels"]
    share = "all" if row["fraction"] == 1 else f"{100 * row['fraction']:g} %"
    judging = f" + {labels['validation']:,.0f} to validate" if labels["validation"] else ""
    return f"{share}: {labels['training']:,.0f}{judging}"


def _name(row: Mapping[str, Any]) -> str:
    if row["method"] in NAMES:
        return NAMES[row["method"]]
    name = "labels only" if row["round"] == 0 else f"after round {row['round'] - 1}"
    kept, of = row["same_as_before"], len(row["seeds"])
    early = f" (teacher kept by the gate, or by its end, in {kept} of {of} seeds)" if kept else ""
    return f"{row['method']}: {name}{early}"


def _cell(figure: Mapping[str, float | None]) -> str:
    mean, low, high, worst = (figure[key] for key in ("mean", "low", "high", "worst"))
    if mean is None:
        return "-"
    within = "" if low is None or high is None else f"{low:.3f}-{high:.3f}; "
    return f"{mean:.3f} ({within}{worst:.3f})"


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = [
        "preset", "labels", "gain on the pool", "gain on unseen", "gap closed on unseen", "last is best (pool, unseen)",
        "seeds below labels only (pool, unseen)", "precision of kept (audit)", "ECE of kept, mean and worst",
    ]  # fmt: skip
    title = (
        "**The last teacher beside labels only** (points of balanced accuracy: median of seeds, 95 % interval of mean)"
    )
    lines = [title, "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for one in verdicts:
        pool, unseen = one.get("pool"), one.get("unseen")
        validated = "" if one["validation"] else ", none to validate"
        lines.append("| " + " | ".join([
            one["method"], f"{100 * one['fraction']:g} %{validated}", _points(pool), _points(unseen),
            "-" if not unseen or unseen["closed"] is None else f"{100 * unseen['closed']:.0f} %",
            ", ".join("-" if not c else "yes" if c["best"] else "no" for c in (pool, unseen)),
            ", ".join("-" if not c else " ".join(map(str, c["below"])) or "none" for c in (pool, unseen)),
            _share(one["kept_precision"]), f"{_share(one['kept_ece'])}, {_share(one['kept_ece_worst'])}",
        ]) + " |")  # fmt: skip
    return lines


def _points(column: Mapping[str, Any] | None) -> str:
    if not column:
        return "-"
    low, high = column["within"] or (None, None)
    return f"{column['gain']:+.1f}" + ("" if low is None else f" ({low:+.1f} to {high:+.1f})")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
