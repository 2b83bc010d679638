"""The promote stage: the student becomes the next teacher, unless validation says it is worse.

What "says it is worse" means (`promote.test: paired`): both models are scored on the same validation patches and the
patients (slides, patches) are resampled; the student is refused when more than `worse_limit` of the draws find it
worse by more than the tolerance, and chance alone would not let so many losses fall together
(stages/measures/paired.py). With many patches this refuses the smallest real loss. With few it refuses what is clearly
worse and lets pass what validation cannot tell, saying so: a round is worth a little on average, and one bad draw of
40 patches is not a reason to end a chain. `worse_limit` 0.8 is where an observed loss of about one standard error
outweighs the expectation of half a standard error gained. `promote.test: bare` refuses every observed loss.

So that losses which pass one by one do not add up, from the second round on the student must stand the same test
against the first teacher, which knew the labels alone.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from data import fault
from data.errors import ChainError, ExitCode
from data.files.atomic import fsync_file, write_json
from data.keys import seed_of
from data.splits.reviewed import names_in
from stages.job import Job
from stages.measures.judged import FILE, Judged, read_judged
from stages.measures.paired import METRICS, MIN_GROUPS, SAME, Paired, compare
from stages.measures.quality import confusion
from stages.networks.create import all_finite
from stages.networks.snapshots import snapshots_of
from stages.promote.config import PromoteConfig

LOG = logging.getLogger("patchchain")
MODEL_FILES = ("model.json", "metrics.json")
BESIDE_FIRST = ("teacher", "difference", "interval", "probability_worse")


def run(job: Job) -> str:
    """Copy the winner's model and say why it won. Stops the chain with `no_gain` when the teacher wins.

    inputs: teacher, and student where one was trained; first, the first teacher, where that is another; reviews that
    this student did not know. With these a teacher that wins does not end the chain: its next student has more to
    learn from.
    """
    section = PromoteConfig.model_validate_json(json.dumps(job.section))
    if "student" in job.inputs:
        teacher, student = (_judged(job.inputs[who]) for who in ("teacher", "student"))
        first = _judged(job.inputs["first"]) if "first" in job.inputs else None
        decision = decide(section, teacher, student, seed_of(job.seed, job.address), first)
        if decision.get("undecided"):
            LOG.warning(f"{job.address}: {decision['undecided']}")
    else:
        decision = {"winner": "teacher", "reason": "no student was trained after this teacher"}
    news = bool(names_in(job.inputs))
    if news and decision["winner"] == "teacher":
        decision["reason"] += "; the chain goes on, for people have labelled patches that the student did not know"
    source = job.inputs[decision["winner"]]
    # what the winner has beside its model: its answers on validation, its earlier states
    more = [name for name in (FILE, *(path.name for path in snapshots_of(source))) if (source / name).is_file()]
    for name in _weights(source):
        _refuse_non_finite(source / name, job.address)
    for name in (*_weights(source), *MODEL_FILES, *more):
        shutil.copyfile(source / name, job.out / name)
        fault.written("promote.copied", job.out / name)
        fsync_file(job.out / name)
    fault.point("promote.decided")
    write_json(job.out / "promotion.json", decision)
    if "student" in job.inputs and decision["winner"] == "teacher" and not news:
        write_json(job.out / "stop.json", {"reason": "no_gain", "detail": decision["reason"]})
    return f"{job.address}: {decision['winner']} of the round before ({decision['reason']})"


def _refuse_non_finite(path: Path, address: str) -> None:
    # what writes weights refuses them as well; but this is the door to every later round
    bad = [name for name, tensor in load_file(path).items() if not all_finite(tensor)]
    if bad:
        raise ChainError(
            f"{address}: {path.name} of the winner holds values that are not finite, for instance in {bad[0]}",
            "such a model labels nothing and is promoted by nothing",
            "make its training again: see `verify RUN`, then `rerun RUN --from` that step",
            ExitCode.DIVERGED,
        )


def _weights(directory: Path) -> list[str]:
    members = json.loads((directory / "model.json").read_text()).get("members")
    return [member["file"] for member in members] if members else ["model.safetensors"]


def _judged(directory: Path) -> Judged | None:
    judged = read_judged(directory)
    if judged is None and json.loads((directory / "metrics.json").read_text())["validation"] is not None:
        raise ChainError(
            f"{directory / FILE} is missing",
            "it is what the gate compares; without it every student would pass",
            "see which step to make again: `verify RUN`",
            ExitCode.DAMAGED,
        )
    return judged


def decide(
    section: PromoteConfig, teacher: Judged | None, student: Judged | None, seed: int, first: Judged | None = None
) -> dict[str, Any]:
    """Who wins, on validation alone; test never enters. Pure: the content of promotion.json.

    first: the first teacher, against which a student that stands against its own is tried as well.
    """
    record: dict[str, Any] = {"metric": section.metric, "tolerance": section.tolerance, "test": section.test}
    if not section.gate:
        return record | {"winner": "student", "reason": "the gate is off (promote.gate: false)"}
    if teacher is None or student is None:
        why = "no validation split: every student is promoted; `crossval CONFIG OUT` finds how many rounds are worth it"
        return record | {"winner": "student", "reason": why}
    decision = record | _contest(section, teacher, student, seed)
    if first is None or decision["winner"] == "teacher":
        return decision
    against = _contest(section, first, student, seed)
    if against["winner"] == "teacher":
        decision |= {
            "winner": "teacher",
            "reason": f"{decision['reason']}; but beside the first teacher: {against['reason']}",
            "undecided": against["undecided"],
        }
    return decision | {"beside_first": {key: against[key] for key in BESIDE_FIRST}}


def _contest(section: PromoteConfig, teacher: Judged, student: Judged, seed: int) -> dict[str, Any]:
    """One teacher and the student, on the same patches."""
    assert (teacher.ids == student.ids).all(), "teacher and student were judged on different patches"
    classes = teacher.log_probs.shape[1]
    found = compare(
        section.metric,
        teacher.label,
        teacher.predicted,
        student.predicted,
        teacher.group,
        classes,
        section.tolerance,
        seed,
    )
    before, after = (figure(section.metric, judged) for judged in (teacher, student))
    reason = f"validation {section.metric.replace('_', ' ')} {before:.3f} -> {after:.3f}"
    worse = found.worse > section.worse_limit if section.test == "paired" else after < before - section.tolerance - SAME
    interval = f"95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f} points"
    if section.test == "paired":
        reason += f", {interval}, worse with probability {found.worse:.2f}, limit {section.worse_limit:g}"
    return {
        "teacher": round(before, 6),
        "student": round(after, 6),
        "difference": round(found.difference, 6),
        "interval": [round(found.low, 6), round(found.high, 6)],
        "probability_worse": round(found.worse, 6),
        "resampled": found.by,
        "n": found.n,
        "groups": found.groups,
        "undecided": _undecided(section, found, worse, interval),
        "winner": "teacher" if worse else "student",
        "reason": f"{reason}, tolerance {section.tolerance:g}",
    }


def figure(metric: str, judged: Judged) -> float:
    """One figure of a model on its validation patches."""
    return METRICS[metric](confusion(judged.label, judged.predicted, judged.log_probs.shape[1]))


def _undecided(section: PromoteConfig, found: Paired, refused: bool, interval: str) -> str | None:
    # said where the student may be worse by more than the tolerance, unless it surely is and was refused for it
    if found.low >= -section.tolerance or (refused and found.high <= 0):
        return None
    of = f"{found.n:,} patches"
    if found.groups < MIN_GROUPS:
        of += f" in only {found.groups} patients or slides, which makes the interval too narrow"
    elif found.groups < found.n:
        of += f" in {found.groups} patients or slides"
    return (
        f"validation cannot tell whether the student is better: {interval} of {section.metric.replace('_', ' ')} "
        f"from {of}; {found.wanted} would"
    )
