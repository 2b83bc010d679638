"""Stage `select`: decide from stored scores which patches of the pool to believe. Seconds, no model."""

import logging
from typing import Any

import numpy as np

from data.atomic import write_json
from data.errors import ChainError, ExitCode
from data.labels import AuditLabels
from data.splits import Splits, load_audit, load_splits
from data.store import PatchStore
from data.table import PatchTable
from data.units import patients, slides
from stages.job import Job
from stages.quality import expected_calibration_error, nll, plain
from stages.scores import Scores, read_scores
from stages.select.calibrate import HIGHEST, LOWEST, fit_temperature, log_softmax, rows_of
from stages.select.config import parse_rule
from stages.select.figures import Beliefs, Kept, alarms, figures
from stages.select.selection import Selection, continued, read_selection, same, write_selection

LOG = logging.getLogger("patchchain")


def run(job: Job) -> str:
    """Inputs: predict, splits, store; from the second round on previous and previous_predict.

    Writes selection.parquet, quality.json and, where the chain has nothing more to learn, stop.json.
    The hidden truth of the pool is read after the selection is made, for quality.json alone.
    """
    rule = parse_rule(job.section)
    splits = load_splits(job.inputs["splits"])
    pool = read_scores(job.inputs["predict"] / "scores.h5", "pool")
    validation = read_scores(job.inputs["predict"] / "scores.h5", "validation")
    _refuse_unusable(job.address, splits, pool, validation)

    temperature = fit_temperature(validation, splits.validation) if rule.calibrate else 1.0
    selection = rule.select(pool, pool.probs(temperature), job.round, job.seed)
    previous = read_selection(job.inputs["previous"] / "selection.parquet") if "previous" in job.inputs else None
    if previous is not None:
        selection = continued(selection, previous)
    write_selection(job.out / "selection.parquet", selection)

    past = job.inputs.get("previous_predict")
    before = None if past is None else read_scores(past / "scores.h5", "pool")
    table = PatchStore(job.inputs["store"] / "patches.h5").table()
    unit, places = _places(table, pool.ids)
    beliefs = Beliefs(
        classes=splits.classes,
        predicted=pool.log_probs.argmax(axis=1),
        before=None if before is None else before.log_probs[rows_of(before, pool.ids)].argmax(axis=1),
        kept=_kept(selection, pool),
        kept_before=None if previous is None else _kept(previous, pool),
        places=places,
        truth=_truth(load_audit(job.inputs["splits"]), pool),
        **_validation(validation, splits, temperature),
        labels=np.bincount(splits.labelled.label, minlength=len(splits.classes)),
    )
    found = alarms(beliefs)
    if temperature in (LOWEST, HIGHEST):
        found.append(
            f"the temperature is at its limit of {temperature:g}: validation says that this teacher's confidence "
            "has little to do with being right"
        )
    for alarm in found:
        LOG.warning(f"{job.address}: {alarm}")
    total = figures(beliefs)
    write_json(
        job.out / "quality.json",
        {
            "round": job.round,
            "rule": rule.rule,
            "classes": list(splits.classes),
            "temperature": temperature,
            "calibration": _calibration(validation, splits, temperature),
            "pool": len(pool),
            "unit": unit,
            "total": total,
            "per_class": [{"class": name, **figures(beliefs, code)} for code, name in enumerate(splits.classes)],
            "alarms": found,
        },
    )
    if stop := stop_reason(selection, previous, len(pool)):
        write_json(job.out / "stop.json", {"reason": stop[0], "detail": stop[1]})
    return _summary(total, temperature)


def stop_reason(selection: Selection, previous: Selection | None, pool: int) -> tuple[str, str] | None:
    """Why no student is worth training on this selection: (reason, detail), or None. Pure."""
    if not (selection.copies > 0).any():
        return "nothing_selected", f"the rule kept none of {pool:,} pool patches"
    if previous is None:
        return None
    if same(selection, previous):
        return "no_change", "the same patches, labels and copies were kept as in the round before"
    if len(np.unique(selection.ids)) == len(np.unique(previous.ids)) == pool:
        return "pool_exhausted", f"all {pool:,} pool patches were kept, as in the round before"
    return None


def _refuse_unusable(address: str, splits: Splits, pool: Scores, validation: Scores) -> None:
    for name, scores, ids in (("pool", pool, splits.pool), ("validation", validation, splits.validation.ids)):
        if not np.array_equal(scores.ids, ids) or scores.log_probs.shape != (len(ids), len(splits.classes)):
            raise ChainError(
                f"{address}: the {name} scores are not those of the splits: {len(scores):,} for {len(ids):,} patches",
                "a selection from other patches would train on the wrong labels",
                "make the scores again: rerun RUN --from the predict step of this round",
                ExitCode.MISMATCH,
            )
        if bad := int((~np.isfinite(scores.log_probs)).any(axis=1).sum()):
            raise ChainError(
                f"{address}: the scores of {bad:,} {name} patches are not finite",
                "the teacher of this round has diverged; its labels mean nothing",
                "lower the learning rate and rerun RUN --from the training of this teacher",
                ExitCode.DIVERGED,
            )


def _places(table: PatchTable, ids: np.ndarray) -> tuple[str | None, np.ndarray]:
    # what concentration is counted over: patients where any are known, else slides
    order = np.argsort(table.ids, kind="stable")
    rows = order[np.searchsorted(table.ids, ids, sorter=order)]
    for unit, codes in (("patient", patients(table)[rows]), ("slide", slides(table)[rows])):
        if (codes >= 0).any():
            return unit, codes
    return None, np.full(len(ids), -1, np.int64)


def _kept(selection: Selection, pool: Scores) -> Kept:
    return Kept(rows_of(pool, selection.ids), selection.label, selection.confidence)


def _truth(audit: AuditLabels, pool: Scores) -> np.ndarray:
    truth = np.full(len(pool), -1, np.int16)
    truth[rows_of(pool, audit.ids)] = audit.label
    return truth


def _validation(validation: Scores, splits: Splits, temperature: float) -> dict[str, np.ndarray]:
    probs = validation.probs(temperature)
    return {
        "validation_confidence": probs.max(axis=1, initial=0),
        "validation_predicted": validation.log_probs.argmax(axis=1),
        "validation_label": splits.validation.label,
    }


def _calibration(validation: Scores, splits: Splits, temperature: float) -> dict[str, float | int | None] | None:
    given = splits.validation.label
    if not len(given):
        return None
    right = validation.log_probs.argmax(axis=1) == given
    result: dict[str, float | int | None] = {"n": len(given)}
    for when, t in (("before", 1.0), ("after", temperature)):
        log_probs = log_softmax(validation.log_probs, t)
        result[f"nll_{when}"] = plain(nll(log_probs, given))
        result[f"ece_{when}"] = plain(expected_calibration_error(np.exp(log_probs.max(axis=1)), right))
    return result


def _summary(total: dict[str, Any], temperature: float) -> str:
    kept, pool, audit = total["kept"], total["predicted"], total["audit"]
    text = f"kept {kept:,} of {pool:,} ({100 * kept / max(pool, 1):.1f} %), T {temperature:.2f}"
    if audit and audit["precision"] is not None:
        text += f", audited precision {100 * audit['precision']:.1f} %"
    return text
