"""`inspect`: what the chain believes, by round and class, from quality.json and metrics.json alone."""

import math
from typing import Any

from data.errors import ChainError, ExitCode
from data.printable import printable
from pipeline.directory.layout import Layout
from pipeline.directory.record import read_facts
from pipeline.plan import FINAL, at
from pipeline.views.reviewed import lines as reviewed
from pipeline.views.reviewed import told
from pipeline.views.status import rounds_of, stopped_at
from pipeline.views.text_table import area, count, percent, table
from stages.select.wording import licences_said, temperature_said

NORMAL_95 = 1.959964  # standard deviations that hold 95 % of a normal distribution
# heading -> field of quality.json; shares are printed as per cent
SHARES = {
    "coverage": "coverage",
    "confidence": "confidence_mean",
    "worst 10 %": "confidence_p10",
    "cal. error": "calibration_error",
    "of kept": "share_kept",
    "of labels": "share_labels",
    "churn": "churn",
    "kept churn": "kept_churn",
    "top 5": "top5_share",
}
LEGEND = (
    "coverage: share of the predicted that is kept; worst 10 %: confidence that nine of ten kept patches reach;",
    "cal. error: confidence against accuracy on validation; of kept, of labels: the class's share; churn: pool",
    "patches whose class changed since the round before; kept churn: of the pairs of patch and label kept in this",
    "round or the one before, those not in both (a changed label makes two); disagrees: kept patches that the",
    "finished student sees otherwise, at most 200 of a class looked at; top 5: share of the five largest",
    "{unit}; (audit): against hidden truth, never used by the chain",
)


def findings(layout: Layout, only: int | None = None) -> dict[str, Any]:
    """One document for programs. Raises ChainError: 66 for no run directory or a round that was not run."""
    rounds = rounds_of(layout)
    shown = []
    for number in range(rounds.rounds) if only is None else [only]:
        quality = read_facts(layout.place(at(number, "select")) / "quality.json")
        if not quality:
            continue
        if of_labels := quality.get("told"):
            of_labels["interval"] = wilson(of_labels["accuracy"], of_labels.get("cases", of_labels["labels"]))
        student = read_facts(layout.place(at(number, "student")) / "metrics.json")
        teacher = read_facts(layout.place(at(number, "teacher")) / "metrics.json")
        following = at(number + 1, "teacher") if layout.stands(at(number + 1, "teacher")) else FINAL
        promotion = read_facts(layout.place(following) / "promotion.json") or None
        shown.append(
            {
                "round": number,
                "quality": quality,
                "disagreement": student.get("disagreement"),
                "teacher": {name: teacher.get(name) for name in ("validation", "test")},
                "student": {name: student.get(name) for name in ("validation", "test")},
                "promotion": promotion,
            }
        )
    stop = stopped_at(layout)
    if only is not None and not shown:
        configured = 0 <= only < rounds.rounds
        raise ChainError(
            f"{layout.root}: round {only} has no selection{'' if stop else ' yet'}"
            if configured
            else f"{layout.root}: there is no round {only}",
            f"the chain ended before it: {stop.reason} ({stop.detail})"
            if stop and configured
            else f"the configuration has {rounds.rounds} rounds, counted from 0",
            "see `status` for what is done",
            ExitCode.MISSING,
        )
    final = read_facts(layout.place(FINAL) / "metrics.json")
    return {
        "run": str(layout.root),
        "rounds": shown,
        "final": {name: final.get(name) for name in ("validation", "test")} if layout.stands(FINAL) else None,
        "reviews": told(layout),
        "stop": {"reason": stop.reason, "detail": stop.detail} if stop else None,
    }


def wilson(share: float, count: int) -> list[float]:
    """95 % interval of a share that was seen in `count` independent cases: low, high (Wilson, JASA 1927)."""
    # in closed form: the exact bounds of stages/select/bounds.py would bring scipy along, and this starts at once
    spread = NORMAL_95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    away = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return [round(middle - away, 6), round(middle + away, 6)]


def text(found: dict[str, Any]) -> list[str]:
    """The same for people: a table a round."""
    if not found["rounds"]:
        lines = [f"{found['run']}: no round has a selection{'' if found['stop'] else ' yet'}"]
        return [*lines, *_judged("final", found["final"] or {}), *reviewed(found["reviews"]), *_stopped(found)]
    lines = []
    for one in found["rounds"]:
        lines += [*_round(one), ""]
    unit = next((one["quality"].get("unit") for one in found["rounds"] if one["quality"].get("unit")), None)
    lines += [line.format(unit=f"{unit}s" if unit else "slides or patients (unknown here)") for line in LEGEND]
    if licences := found["rounds"][-1]["quality"].get("licences"):
        lines.append(f"licences of the weights these labels come from: {printable(licences_said(licences))}")
    return [*lines, *reviewed(found["reviews"]), *_stopped(found)]


def _stopped(found: dict[str, Any]) -> list[str]:
    return [f"stopped: {found['stop']['reason']} ({found['stop']['detail']})"] if found["stop"] else []


def _round(one: dict[str, Any]) -> list[str]:
    quality, total = one["quality"], one["quality"]["total"]
    calibration = quality.get("calibration")
    head = f"round {one['round']:02d}: {quality['rule']}, {count(total['kept'])} of {count(quality['pool'])} kept"
    if total.get("pseudo_labels", total["kept"]) != total["kept"]:
        head += f" under {count(total['pseudo_labels'])} labels (a patch may stand under several)"
    if calibration:
        before, after = (percent(calibration.get(f"ece_{when}")) for when in ("before", "after"))
        said = temperature_said(quality["temperature"], quality.get("temperatures"))
        # a temperature that labels say is meant for the pool, and validation may lie elsewhere
        found = f"of validation {after}" if quality.get("told") else f"{before} -> {after}"
        head += f", temperature {said} (calibration error {found})"
    disagreement = one["disagreement"] or {}
    # only some rules have a threshold a class
    shares = SHARES | ({"threshold": "threshold"} if "threshold" in quality["per_class"][0] else {})
    rows = [
        _row(str(row["class"]), row, (disagreement.get("per_class") or {}).get(row["class"]), shares)
        for row in quality["per_class"]
    ]
    rows.append(_row("all", total, disagreement.get("total"), shares))
    columns = ["class", "predicted", "kept", *shares, "disagrees", "precision (audit)", "recall (audit)"]
    lines = [head, *_beside(quality), *table(columns, rows)]
    lines += [f"  alarm: {printable(alarm)}" for alarm in quality.get("alarms", [])]
    lines += [line for model in ("teacher", "student") for line in _judged(model, one[model])]
    if promotion := one["promotion"]:
        lines.append(f"  next teacher: the {promotion['winner']} ({printable(str(promotion['reason']))})")
    return lines


def _judged(model: str, by_split: dict[str, Any]) -> list[str]:
    """How good the round's model is on the splits that judge; nothing where none does."""
    said = [
        f"{split} balanced accuracy {percent(metrics.get('balanced_accuracy'))}, AUROC {area(metrics.get('auroc'))}"
        for split, metrics in by_split.items()
        if metrics
    ]
    return [f"  {model}: {'; '.join(said)}"] if said else []


def _beside(quality: dict[str, Any]) -> list[str]:
    """What labels say of each other, alignment and negative labels, where the round has them."""
    lines = []
    if told := quality.get("told"):
        each = ", ".join(
            f"{printable(str(row['class']))} {percent(one['precision'])} of {one['told']:.0f}"
            for row, one in zip(quality["per_class"], told["per_class"], strict=True)
        )
        low, high = (100 * bound for bound in told["interval"])
        right = f"{percent(told['accuracy'])} right (95 % interval {low:.1f} to {high:.1f})"
        said = temperature_said(quality["temperature"], quality.get("temperatures"))
        who = "labels left out in turn and told by the others"
        if validation := told.get("validation"):
            who += f", and {count(validation)} of validation"
        lines.append(f"  {told['labels']} {who}: {right}; told as {each}; so confidence is read at temperature {said}")
    if encoder := quality.get("encoder"):
        lines.append(
            f"  the frozen encoder counts {encoder['weight']:.2f} times as much as the teacher: along it labels tell "
            f"each other with a kappa of {encoder['kappa']:.2f}"
        )
    if alignment := quality.get("alignment"):
        weights = " ".join(f"{weight:.2f}" for weight in alignment["weights"])
        target = "equal shares" if alignment["target"] == "uniform" else "the shares of the labels"
        lines.append(f"  aligned to {target}, exponent {alignment['exponent']:g}; weights of the classes: {weights}")
    if negatives := quality.get("negatives"):
        audit = (negatives["audit"] or {}).get("precision")
        lines.append(
            f"  {count(negatives['labels'])} negative labels on {count(negatives['patches'])} patches, "
            f"right {percent(audit)} (audit)"
        )
    return lines


def _row(name: str, figures: dict[str, Any], disagreement: float | None, shares: dict[str, str]) -> list[str]:
    audit = figures.get("audit") or {}
    return [
        name,
        count(figures["predicted"]),
        count(figures["kept"]),
        *(percent(figures.get(field)) for field in shares.values()),
        percent(disagreement),
        percent(audit.get("precision")),
        percent(audit.get("recall")),
    ]
