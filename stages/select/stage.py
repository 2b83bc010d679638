"""Stage `select`: decide from stored scores which patches of the pool to believe. Seconds, no model."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data import fault
from data.atomic import write_json
from data.labels import AuditLabels
from data.reviewed import REJECTED, Reviewed, honoured, left_out, names_in, reviews_in
from data.splits import load_audit, load_splits
from data.store import PatchStore
from data.table import PatchTable
from data.units import patients, slides
from stages import licences
from stages.job import Job
from stages.judged import groups_of
from stages.scores import Scores, found_in, read_scores, write_scores
from stages.select.belief import Belief, Believed, fit_belief
from stages.select.calibrate import rows_of
from stages.select.config import parse_rule
from stages.select.evidence import Evidence, HeldOut, Probs
from stages.select.figures import Beliefs, Kept
from stages.select.graph import FILE, Graph
from stages.select.negatives import read_pieces_of_negatives, write_negatives
from stages.select.past import Past, read_past
from stages.select.record import record
from stages.select.refusals import refuse_unmet, refuse_unusable
from stages.select.rule import Rule
from stages.select.selection import Selection, read_pieces, read_selection, same, write_pieces
from stages.select.wording import temperature_said

LOG = logging.getLogger("patchchain")
ENOUGH = 50  # validation patches; of fewer, how often they are right is known to no better than 5 points


def run(job: Job) -> str:
    """Inputs: predict, splits, store, the reviews that hold; from the second round on previous and previous_predict.

    Writes selection.parquet, quality.json and, where the chain has nothing more to learn, stop.json.
    Reviewed patches are no longer pool: no rule sees them, and no pseudo-label is theirs.
    The hidden truth of the pool is read after the selection is made, for quality.json alone.

    The decision goes through a pool of any size in blocks of the mapped file (see `decide`). Whole in memory stand the
    splits, the join with the patch table, what quality.json is computed from, and the selection of the round before;
    with reviews a copy of the scores; with `propagate` the embeddings of the patches and what the graph says of them.
    """
    rule = parse_rule(job.section)
    drawn = load_splits(job.inputs["splits"])
    scored = read_scores(job.inputs["predict"] / "scores.h5", "pool", mapped=True)
    validation = read_scores(job.inputs["predict"] / "scores.h5", "validation")
    refuse_unusable(job.address, drawn, scored, validation)
    reviewed = reviews_in(job.inputs, drawn.classes)
    splits, pool = honoured(drawn, reviewed), scored.without(reviewed.ids)
    if lost := left_out(drawn, reviewed):
        LOG.warning(f"{job.address}: {lost:,} reviewed patches are left out: the splits hold them out by now")

    labelled = np.bincount(splits.labelled.label, minlength=len(splits.classes))
    table = PatchStore(job.inputs["store"] / "patches.h5").table()
    graph, told, deciding = None, None, splits.deciding
    if rule.propagate is not None:
        groups = groups_of(table, splits.labelled.ids), groups_of(table, pool.ids)
        graph = Graph(job, rule.propagate, splits, pool.ids, groups)
        pool, validation = graph.scores(pool.ids).beside(pool), graph.scores(validation.ids)
        write_scores(job.out / FILE, {"pool": pool.alone(), "validation": validation})
        if rule.calibrate and len(deciding) < ENOUGH:
            told = graph.told()
    # a fold judges the models of this chain: it has no part in what they learn
    heard = validation if splits.fold is None else validation.without(validation.ids)
    belief = fit_belief(rule, pool, heard, deciding, labelled, job.round, told)
    past = read_past(job, reviewed.ids)
    opinions: list[Probs] = [Believed(belief, one) for one in pool.others()]
    evidence = Evidence(
        ids=pool.ids,
        believed=Believed(belief, pool),
        round=job.round,
        seed=job.seed,
        labelled=labelled,
        held_out=HeldOut(belief.of(heard), deciding.label, groups_of(table, deciding.ids)),
        deviation=pool.deviation,
        opinions=tuple(opinions if past is None else [past.probs(pool.ids), *opinions]),
        classes=splits.classes,
    )
    refuse_unmet(job.address, rule, evidence)
    decide(rule, evidence, past, job.out / "selection.parquet")
    negatives = rule.negatives(evidence)
    if negatives is not None:
        write_negatives(job.out, negatives)
        negatives = read_pieces_of_negatives(job.out)

    unit, places = _places(table, pool.ids)
    beliefs = Beliefs(
        classes=splits.classes,
        predicted=evidence.best[0],
        before=None if past is None else past.best(pool.ids),
        kept=_kept(read_pieces(job.out / "selection.parquet"), pool),
        kept_before=None if past is None else _kept([past.selection], pool),
        places=places,
        truth=_truth(load_audit(job.inputs["splits"]), pool),
        validation_confidence=belief.of(validation).max(axis=1, initial=0),
        validation_predicted=belief.best(validation),
        validation_label=splits.validation.label,
        labels=labelled,
    )
    before = None if past is None else past.quality["guards"]
    quality = record(rule, evidence, belief, beliefs, validation, negatives, before, unit, told)
    for alarm in quality["alarms"]:
        LOG.warning(f"{job.address}: {alarm}")
    quality["encoder"] = None if graph is None else graph.plain()
    quality["licences"] = licences.plain(licences.load(job.inputs["predict"]))
    if len(reviewed):
        quality["reviewed"] = _reviewed(reviewed, names_in(job.inputs), splits.classes)
    write_json(job.out / "quality.json", quality)
    news = _news(quality, past)
    stop = _stop(job.out / "selection.parquet", past, len(pool), news)
    if stop is None and not news and not len(deciding):
        stop = collapsed(np.bincount(beliefs.kept.label, minlength=len(labelled)), labelled, splits.classes)
    if stop:
        write_json(job.out / "stop.json", {"reason": stop[0], "detail": stop[1]})
    return _summary(quality["total"], belief)


def decide(rule: Rule, evidence: Evidence, past: Past | None, path: Path) -> None:
    """Choose, and write selection.parquet piece by piece. The evidence stands by rising id.

    Of every patch its best class and confidence stand in memory, 6 bytes, and which are kept, a byte or some; the
    probabilities are computed block by block, and the table is written as it is made.
    """
    pieces = rule.pieces(evidence)
    fault.point("select.selected")
    write_pieces(path, pieces if past is None else past.continued(pieces))


def stop_reason(
    selection: Selection, previous: Selection | None, pool: int, news: bool = False
) -> tuple[str, str] | None:
    """Why no student is worth training on this selection: (reason, detail), or None. Pure.

    news: people have labelled patches since the round before, so that there is more to learn than the selection.
    """
    if not (selection.copies > 0).any():
        return "nothing_selected", f"the rule kept none of {pool:,} pool patches"
    if previous is None or news:
        return None
    if same(selection, previous):
        return "no_change", "the same patches, labels and copies were kept as in the round before"
    plain_weights = bool((selection.weight == 1).all() and (previous.weight == 1).all())
    # weights are a choice too: a rule that keeps everything with weights has not run out of pool
    if plain_weights and len(np.unique(selection.ids)) == len(np.unique(previous.ids)) == pool:
        return "pool_exhausted", f"all {pool:,} pool patches were kept, as in the round before"
    return None


def collapsed(kept: np.ndarray, labelled: np.ndarray, classes: Sequence[str]) -> tuple[str, str] | None:
    """Why a student that no label would judge is not to be taught this: (reason, detail), or None. Pure.

    kept, labelled: (C,) patches by class. With validation the gate decides whether such a student is worse.
    """
    given = np.count_nonzero(labelled)
    if np.count_nonzero(kept) != 1 or given < 2:
        return None
    one = int(kept.argmax())
    every = f"all {kept[one]:,} kept patches are called {classes[one]}, and the labels have {given} classes"
    return "one_class", f"{every}; no validation label would judge a student of it"


def _stop(path: Path, past: Past | None, pool: int, news: bool) -> tuple[str, str] | None:
    if past is not None:
        return stop_reason(read_selection(path), past.selection, pool, news)
    # in a first round a part of it in which a patch is seen says as much as the whole
    for piece in read_pieces(path):
        if (reason := stop_reason(piece, None, pool)) is None:
            break
    return reason


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


def _summary(total: dict[str, Any], belief: Belief) -> str:
    kept, pool, audit = total["kept"], total["predicted"], total["audit"]
    said = temperature_said(belief.temperature, belief.by_class)
    text = f"kept {kept:,} of {pool:,} ({100 * kept / max(pool, 1):.1f} %), T {said}"
    if audit and audit["precision"] is not None:
        text += f", audited precision {100 * audit['precision']:.1f} %"
    return text
