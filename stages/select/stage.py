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
from stages.judged import groups_of
from stages.quality import expected_calibration_error, nll, plain, ratio
from stages.scores import Scores, read_scores
from stages.select.belief import fit_belief
from stages.select.calibrate import HIGHEST, LOWEST, log_softmax, rows_of
from stages.select.config import parse_rule
from stages.select.evidence import Evidence, HeldOut
from stages.select.figures import Beliefs, Kept, alarms, figures
from stages.select.guards import guard_alarms, guards
from stages.select.negatives import Negatives, write_negatives
from stages.select.past import read_past
from stages.select.rule import Rule
from stages.select.selection import Selection, continued, same, write_selection

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

    labelled = np.bincount(splits.labelled.label, minlength=len(splits.classes))
    belief = fit_belief(rule, pool, validation, splits.validation, labelled, job.round)
    past = read_past(job)
    table = PatchStore(job.inputs["store"] / "patches.h5").table()
    evidence = Evidence(
        ids=pool.ids,
        probs=belief.of(pool),
        round=job.round,
        seed=job.seed,
        labelled=labelled,
        held_out=HeldOut(belief.of(validation), splits.validation.label, groups_of(table, validation.ids)),
        deviation=None if pool.deviation is None else pool.deviation.astype(np.float32),
        opinions=(() if past is None else (past.probs(pool.ids),)) + tuple(belief.of(one) for one in pool.others()),
        classes=splits.classes,
    )
    _refuse_unmet(job.address, rule, evidence)
    selection = rule.select(evidence)
    if past is not None:
        selection = continued(selection, past.selection)
    write_selection(job.out / "selection.parquet", selection)
    negatives = rule.negatives(evidence)
    if negatives is not None:
        write_negatives(job.out, negatives)

    unit, places = _places(table, pool.ids)
    beliefs = Beliefs(
        classes=splits.classes,
        predicted=belief.best(pool),
        before=None if past is None else past.best(pool.ids),
        kept=_kept(selection, pool),
        kept_before=None if past is None else _kept(past.selection, pool),
        places=places,
        truth=_truth(load_audit(job.inputs["splits"]), pool),
        validation_confidence=evidence.held_out.probs.max(axis=1, initial=0),
        validation_predicted=belief.best(validation),
        validation_label=splits.validation.label,
        labels=labelled,
    )
    guarded = guards(beliefs)
    found = alarms(beliefs) + guard_alarms(guarded, None if past is None else past.quality["guards"], unit)
    found += rule.remarks(evidence)
    if belief.temperature in (LOWEST, HIGHEST):
        found.append(
            f"the temperature is at its limit of {belief.temperature:g}: validation says that this teacher's "
            "confidence has little to do with being right"
        )
    for alarm in found:
        LOG.warning(f"{job.address}: {alarm}")
    total = figures(beliefs)
    thresholds = rule.thresholds(evidence)
    write_json(
        job.out / "quality.json",
        {
            "round": job.round,
            "rule": rule.rule,
            "classes": list(splits.classes),
            **belief.plain(),
            "calibration": _calibration(validation, splits, belief.temperature),
            "pool": len(pool),
            "unit": unit,
            "total": total,
            "per_class": [
                {"class": name, **figures(beliefs, code)}
                | ({} if thresholds is None else {"threshold": plain(float(thresholds[code]))})
                for code, name in enumerate(splits.classes)
            ],
            "negatives": None if negatives is None else _told(negatives, beliefs.truth, pool),
            "guards": guarded,
            "alarms": found,
        },
    )
    if stop := stop_reason(selection, None if past is None else past.selection, len(pool)):
        write_json(job.out / "stop.json", {"reason": stop[0], "detail": stop[1]})
    return _summary(total, belief.temperature)


def stop_reason(selection: Selection, previous: Selection | None, pool: int) -> tuple[str, str] | None:
    """Why no student is worth training on this selection: (reason, detail), or None. Pure."""
    if not (selection.copies > 0).any():
        return "nothing_selected", f"the rule kept none of {pool:,} pool patches"
    if previous is None:
        return None
    if same(selection, previous):
        return "no_change", "the same patches, labels and copies were kept as in the round before"
    plain_weights = bool((selection.weight == 1).all() and (previous.weight == 1).all())
    # weights are a choice too: a rule that keeps everything with weights has not run out of pool
    if plain_weights and len(np.unique(selection.ids)) == len(np.unique(previous.ids)) == pool:
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


def _refuse_unmet(address: str, rule: Rule, evidence: Evidence) -> None:
    """Raise ChainError (78) when the rule asks for what this round cannot give."""
    if "held_out" in rule.needs and not len(evidence.held_out):
        raise ChainError(
            f"{address}: select.rule: {rule.rule} needs labelled validation patches",
            "it measures on them what it promises, and the splits have none",
            "give splits.validation a share or a number, or choose another rule",
            ExitCode.MISMATCH,
        )
    if "deviation" in rule.needs and evidence.deviation is None:
        raise ChainError(
            f"{address}: select.rule: {rule.rule} needs the deviations of MC-dropout",
            "the scores of this round were made without them (predict.mc_passes: 0)",
            "set predict.mc_passes: 10 and rerun RUN --from the predict step of this round, or choose another rule",
            ExitCode.MISMATCH,
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


def _told(negatives: Negatives, truth: np.ndarray, pool: Scores) -> dict[str, Any]:
    of = truth[rows_of(pool, negatives.ids)]
    known = of >= 0
    right = of[known] != negatives.label[known]
    audit = {"precision": plain(ratio(right.sum(), len(right))), "n": len(right)} if len(right) else None
    return {"labels": len(negatives), "patches": len(np.unique(negatives.ids)), "audit": audit}


def _summary(total: dict[str, Any], temperature: float) -> str:
    kept, pool, audit = total["kept"], total["predicted"], total["audit"]
    text = f"kept {kept:,} of {pool:,} ({100 * kept / max(pool, 1):.1f} %), T {temperature:.2f}"
    if audit and audit["precision"] is not None:
        text += f", audited precision {100 * audit['precision']:.1f} %"
    return text
