"""What a training is about: read once from the inputs of its stage, shared by all members of an ensemble."""

import json
from dataclasses import dataclass
from pathlib import Path

from data.images import Images
from data.splits import Splits, load_splits
from data.stain_normaliser import load_normaliser
from data.store import PatchStore
from stages.job import Job
from stages.scores import read_scores
from stages.select.belief import Belief
from stages.select.negatives import read_negatives
from stages.select.selection import Selection, read_selection
from stages.train.batches import Examples
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.examples import given_examples, pseudo_examples


@dataclass(frozen=True)
class Task:
    """given, pseudo: what the labels and the pseudo-labels teach; kept: the selection they come from.

    teacher: directory of the one that labelled; a teacher's own task has none of the last three.
    """

    section: TeacherConfig | StudentConfig
    splits: Splits
    images: Images
    given: Examples
    pseudo: Examples | None = None
    kept: Selection | None = None
    teacher: Path | None = None

    @property
    def role(self) -> str:
        """The section's name."""
        return "teacher" if self.kept is None else "student"

    def members(self) -> list[TeacherConfig | StudentConfig]:
        """The section of every network to train; one, but for an ensemble of teachers."""
        return list(self.section.each()) if isinstance(self.section, TeacherConfig) else [self.section]


def read_task(job: Job) -> Task:
    """Inputs: store, splits; of a student also select, predict and teacher. All joined by patch id."""
    splits = load_splits(job.inputs["splits"])
    store = PatchStore(job.inputs["store"] / "patches.h5")
    images = Images(store, load_normaliser(job.inputs["splits"], store))
    text, classes = json.dumps(job.section), len(splits.classes)
    if "select" not in job.inputs:
        section = TeacherConfig.model_validate_json(text)
        return Task(section, splits, images, given_examples(splits.labelled, classes, section.label_smoothing))
    student = StudentConfig.model_validate_json(text)
    kept = read_selection(job.inputs["select"] / "selection.parquet")
    pool = read_scores(job.inputs["predict"] / "scores.h5", "pool")
    soft = Belief.load(job.inputs["select"]).of(pool) if student.soft_labels else None
    return Task(
        student,
        splits,
        images,
        given_examples(splits.labelled, classes, student.label_smoothing),
        pseudo_examples(kept, classes, pool.ids, soft, read_negatives(job.inputs["select"])),
        kept,
        job.inputs.get("teacher"),
    )
