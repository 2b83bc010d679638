"""Stage `select`: decide from stored scores which patches of the pool to believe. Seconds, no model."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data import fault
from data.files.atomic import write_json
from data.patches.labels import AuditLabels
from data.patches.table import PatchTable
from data.splits.reviewed import REJECTED, Reviewed, names_in
from data.splits.units import patients, slides
from data.splits.written import load_audit
from stages.job import Job
from stages.networks import licences
from stages.scores import Scores, found_in
from stages.select.belief import Belief
from stages.select.calibrate import rows_of
from stages.select.config import parse_rule
from stages.select.ending import collapsed, stop_at
from stages.select.evidence import Evidence
from stages.select.figures import Beliefs, Kept
from stages.select.hearing import Heard, believed, evidence_of, hear
from stages.select.negatives import read_pieces_of_negatives, write_negatives
from stages.select.past import Past, read_past
from stages.select.record import record
from stages.select.refusals import refuse_unmet
from stages.select.rule import Rule
from stages.select.selection import Selection, read_pieces, write_pieces
from stages.select.wording import UNTOLD, of_few_groups, temperature_said

LOG = logging.getLogger("patchchain")


def run(job: Job) -> str:
    """Inputs: predict, splits, store, the reviews that hold; from the second round on previous and previous_predict.

    Writes selection.parquet, quality.json and, where the chain has nothing more to learn, stop.json; with `propagate`
    also believed.h5. Reviewed patches are no longer pool: no rule sees them, and no pseudo-label is theirs.
    The hidden truth of the pool is read after the selection is made, for quality.json alone.

    The decision goes through a pool of any size in blocks of the mapped file (see `decide`). Whole in memory stand the
    splits, the join with the patch table, what quality.json is computed from, and the selection of the round before;
    with reviews a copy of the scores; with `propagate` the graph and what it says of the patches.
    """
    rule = parse_rule(job.section)
    heard = hear(job, rule)
    belief, past = believed(job, rule, heard), read_past(job, heard.reviewed.ids)
    evidence = evidence_of(job, heard, belief, past)
    refuse_unmet(job.address, rule, evidence)
    decide(rule, evidence, past, job.out / "selection.parquet")
    negatives = rule.negatives(evidence)
    if negatives is not None:
        write_negatives(job.out, negatives)
        negatives = read_pieces_of_negatives(job.out)

    unit, places = _places(heard.table, heard.pool.ids)
    beliefs = _beliefs(job, heard, belief, evidence, past, places)
    before = None if past is None else past.quality["guards"]
    shares = None if heard.graph is None else heard.graph.shares
    quality = record(
        rule,
        evidence,
        belief,
        beliefs,
        heard.validation,
        negatives,
        before,
        unit,
        heard.told,
        shares,
        _doubts(heard, unit) if rule.calibrate else [],
    )
    for alarm in quality["alarms"]:
        LOG.warning(f"{job.address}: {alarm}")
    quality["encoder"] = None if heard.graph is None else heard.graph.plain()
    quality["licences"] = licences.plain(licences.load(job.inputs["predict"]))
    if len(heard.reviewed):
        quality["reviewed"] = _reviewed(heard.reviewed, names_in(job.inputs), heard.splits.classes)
    write_json(job.out / "quality.json", quality)
    news = _news(quality, past)
    stop = stop_at(job.out / "selection.parquet", past, len(heard.pool), news)
    if stop is None and not news and not len(heard.deciding):
        kept = np.bincount(beliefs.kept.label, minlength=len(heard.labelled))
        stop = collapsed(kept, heard.labelled, heard.splits.classes)
    if stop:
        write_json(job.out / "stop.json", {"reason": stop[0], "detail": stop[1]})
    return _summary(quality["total"], belief, float(evidence.best[1].max(initial=0)))


def decide(rule: Rule, evidence: Evidence, past: Past | None, path: Path) -> None:
    """Choose, and write selection.parquet piece by piece. The evidence stands by rising id.

    Of every patch its best class and confidence stand in memory, 6 bytes, and which are kept, a byte or some; the
    probabilities are computed block by block, and the table is written as it is made.
    """
    pieces = rule.pieces(evidence)
    fault.point("select.selected")
    write_pieces(path, pieces if past is None else past.continued(pieces))


def _beliefs(
    job: Job, heard: Heard, belief: Belief, evidence: Evidence, past: Past | None, places: np.ndarray
) -> Beliefs:
    return Beliefs(
        classes=heard.splits.classes,
        predicted=evidence.best[0],
        before=None if past is None else past.best(heard.pool.ids),
        kept=_kept(read_pieces(job.out / "selection.parquet"), heard.pool),
        kept_before=None if past is None else _kept([past.selection], heard.pool),
        places=places,
        truth=_truth(load_audit(job.inputs["splits"]), heard.pool),
        validation_confidence=belief.of(heard.validation).max(axis=1, initial=0),
        validation_predicted=belief.best(heard.validation),
        validation_label=heard.splits.validation.label,
        labels=heard.labelled,
    )


def _places(table: PatchTable, ids: np.ndarray) -> tuple[str | None, np.ndarray]:
    # what concentration is counted over: patients where any are known, else slides
    order = np.argsort(table.ids, kind="stable")
    rows = order[np.searchsorted(table.ids, ids, sorter=order)]
    for unit, codes in (("patient", patients(table)[rows]), ("slide", slides(table)[rows])):
        if (codes >= 0).any():
            return unit, codes
    return None, np.full(len(ids), -1, np.int64)


def _reviewed(reviewed: Reviewed, names: list[str], classes: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(reviewed.label[reviewed.label != REJECTED], minlength=len(classes))
    return {
        "reviews": names,
        "labels": dict(zip(classes, counts.tolist(), strict=True)),
        "rejected": int((reviewed.label == REJECTED).sum()),
    }


def _doubts(heard: Heard, unit: str | None) -> list[str]:
    if heard.graph is None or not len(heard.pool):
        return []
    if heard.told is None:
        return [] if len(heard.deciding) else [UNTOLD]
    # where validation had its say, more patients than the labelled ones have
    few = heard.graph.few
    if unit is None or few is None or heard.told.validation:
        return []
    return [of_few_groups(unit, *few)]


def _news(quality: dict[str, Any], past: Past | None) -> bool:
    before = {} if past is None else past.quality
    now, then = (one.get("reviewed", {}).get("reviews", []) for one in (quality, before))
    return bool(now != then)


def _kept(pieces: Iterable[Selection], pool: Scores) -> Kept:
    found = [Kept(rows_of(pool, own.ids).astype(np.uint32), own.label, own.confidence) for own in pieces]
    columns = ([getattr(one, name) for one in found] for name in ("row", "label", "confidence"))
    return Kept(*map(np.concatenate, columns))


def _truth(audit: AuditLabels, pool: Scores) -> np.ndarray:
    truth = np.full(len(pool), -1, np.int16)
    there, rows = found_in(pool.ids, audit.ids)
    truth[rows] = audit.label[there]
    return truth


def _summary(total: dict[str, Any], belief: Belief, surest: float) -> str:
    kept, pool, audit = total["kept"], total["predicted"], total["audit"]
    said = temperature_said(belief.temperature, belief.by_class)
    text = f"kept {kept:,} of {pool:,} ({100 * kept / max(pool, 1):.1f} %), T {said}"
    if pool and not kept:  # what a threshold that nothing reaches is to be held against
        text += f"; the surest is believed at {100 * surest:.1f} %"
    if audit and audit["precision"] is not None:
        text += f", audited precision {100 * audit['precision']:.1f} %"
    return text
