"""The promote stage: the student becomes the next teacher, unless validation says it is worse."""

import json
import shutil
from typing import Any

from data.atomic import fsync_file, write_json
from stages.job import Job
from stages.promote_config import PromoteConfig

MODEL_FILES = ("model.safetensors", "model.json", "metrics.json")


def run(job: Job) -> str:
    """Copy the winner's model and say why it won. Stops the chain with `no_gain` when the teacher wins.

    inputs: teacher, and student where one was trained.
    """
    section = PromoteConfig.model_validate_json(json.dumps(job.section))
    if "student" in job.inputs:
        metrics = {who: json.loads((job.inputs[who] / "metrics.json").read_text()) for who in ("teacher", "student")}
        decision = decide(section, metrics["teacher"], metrics["student"])
    else:
        decision = {"winner": "teacher", "reason": "no student was trained after this teacher"}
    source = job.inputs[decision["winner"]]
    for name in MODEL_FILES:
        shutil.copyfile(source / name, job.out / name)
        fsync_file(job.out / name)
    write_json(job.out / "promotion.json", decision)
    if "student" in job.inputs and decision["winner"] == "teacher":
        write_json(job.out / "stop.json", {"reason": "no_gain", "detail": decision["reason"]})
    return f"{job.address}: {decision['winner']} of the round before ({decision['reason']})"


def decide(section: PromoteConfig, teacher: dict[str, Any], student: dict[str, Any]) -> dict[str, Any]:
    """Who wins, on validation alone; test never enters. A pure function of two metrics.json."""
    record = {"metric": section.metric, "tolerance": section.tolerance, "teacher": None, "student": None}
    if not section.gate:
        return record | {"winner": "student", "reason": "the gate is off (promote.gate: false)"}
    if teacher["validation"] is None or student["validation"] is None:
        return record | {"winner": "student", "reason": "no validation split: every student is promoted"}
    before, after = teacher["validation"][section.metric], student["validation"][section.metric]
    passes = after >= before - section.tolerance
    name = section.metric.replace("_", " ")
    reason = f"validation {name} {before:.3f} -> {after:.3f}, tolerance {section.tolerance:g}"
    return record | {
        "teacher": before,
        "student": after,
        "winner": "student" if passes else "teacher",
        "reason": reason,
    }
