"""The table at the end of a run: one row a round, why it ended, where everything lies."""

from data.printable import printable
from pipeline.config.yaml_text import read_yaml
from pipeline.directory.layout import Layout, command
from pipeline.directory.record import Stop, read_facts
from pipeline.plan import FINAL, at
from pipeline.views.gate_metric import gate_metric
from pipeline.views.text_table import count, percent, table

HEAD = (
    "round",
    "teacher validation",
    "teacher test",
    "student validation",
    "student test",
    "pseudo-labels kept",
    "precision (audit)",
)


def summary(layout: Layout, rounds: int, stop: Stop) -> list[str]:
    """Lines for people. Models are judged by the metric of the gate, which is named; unknown figures are a dash."""
    metric = gate_metric(dict(read_yaml(layout.config).value))
    rows = []
    for number in range(max(rounds, 1)):
        if not layout.stands(at(number, "teacher")):
            break
        total = read_facts(layout.place(at(number, "select")) / "quality.json").get("total", {})
        rows.append(
            [
                f"{number:02d}",
                *_figures(layout, at(number, "teacher"), metric),
                *_figures(layout, at(number, "student"), metric),
                count(total.get("kept")),
                percent((total.get("audit") or {}).get("precision")),
            ]
        )
    promotion = read_facts(layout.place(FINAL) / "promotion.json")
    rows.append(["final", *_figures(layout, FINAL, metric), "", "", "", ""])
    lines = [f"{metric.replace('_', ' ')} of each model on validation and test:", *table(HEAD, rows)]
    lines.append(f"ended: {stop.reason} ({printable(stop.detail)})")
    if promotion:
        lines.append(f"final: the {promotion['winner']} of the last round ({printable(str(promotion['reason']))})")
    lines.append(f"run:   {layout.root}   (what it believed, by round and class: {command('inspect', layout.root)})")
    weights = sorted(path.name for path in layout.place(FINAL).glob("model*.safetensors"))
    lines.append(f"model: {layout.place(FINAL)}/{', '.join([*weights, 'model.json'])}")
    return lines


def _figures(layout: Layout, address: str, metric: str) -> list[str]:
    metrics = read_facts(layout.place(address) / "metrics.json")
    return [percent((metrics.get(split) or {}).get(metric)) for split in ("validation", "test")]
