"""What a training is about: read once from the inputs of its stage, shared by all members of an ensemble."""

import json
from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.images import Images
from data.splits.reviewed import honoured, reviews_in
from data.splits.written import Splits, load_splits
from data.stain_normaliser import load_normaliser
from data.store.patch_store import PatchStore
from stages.job import Job
from stages.networks import licences
from stages.networks.licences import Licence
from stages.select.belief import Belief
from stages.select.believed_scores import believed_scores
from stages.select.negatives import read_negatives
from stages.select.selection import Selection, read_selection, without
from stages.train.batches import Examples
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.examples import given_examples, pseudo_examples


@dataclass(frozen=True)
class Task:
    """given, pseudo: what the labels and the pseudo-labels teach; kept: the selection they come from.

    teacher: directory of the one that labelled; a teacher's own task has none of these three; licences: of the weights
    that the pseudo-labels come from.
    """

    section: TeacherConfig | StudentConfig
    splits: Splits
    images: Images
    given: Examples
    pseudo: Examples | None = None
    kept: Selection | None = None
    teacher: Path | None = None
    licences: tuple[Licence, ...] = ()

    @property
    def role(self) -> str:
        """The section's name."""
        return "teacher" if self.kept is None else "student"

    def members(self) -> list[TeacherConfig | StudentConfig]:
        """The section of every network to train; one, but for an ensemble of teachers."""
        return list(self.section.each()) if isinstance(self.section, TeacherConfig) else [self.section]


def read_task(job: Job) -> Task:
    """Inputs: store, splits, the reviews that hold; of a student also select, predict and teacher.

    All joined by patch id. A reviewed patch teaches what people said of it, or nothing, never a pseudo-label.
    """
    drawn = load_splits(job.inputs["splits"])
    reviewed = reviews_in(job.inputs, drawn.classes)
    splits = honoured(drawn, reviewed)
    store = PatchStore(job.inputs["store"] / "patches.h5")
    images = Images(store, load_normaliser(job.inputs["splits"], store))
    text, classes = json.dumps(job.section), len(splits.classes)
    if "select" not in job.inputs:
        section = TeacherConfig.model_validate_json(text)
        return Task(section, splits, images, given_examples(splits.labelled, classes, section.label_smoothing))
    student = StudentConfig.model_validate_json(text)
    kept = without(read_selection(job.inputs["select"] / "selection.parquet"), reviewed.ids)
    if not len(kept):
        raise ChainError(
            f"{job.address}: every patch that was selected has been reviewed since",
            "a student learns from pseudo-labels, and none is left",
            "select again: rerun RUN --from the select step of this round",
            ExitCode.MISMATCH,
        )
    pool = believed_scores(job.inputs["select"], job.inputs["predict"], "pool")
    negatives = read_negatives(job.inputs["select"])
    soft = Belief.load(job.inputs["select"]).of(pool) if student.soft_labels else None
    return Task(
        student,
        splits,
        images,
        given_examples(splits.labelled, classes, student.label_smoothing),
        pseudo_examples(kept, classes, pool.ids, soft, negatives and negatives.without(reviewed.ids)),
        kept,
        job.inputs.get("teacher"),
        tuple(licences.load(job.inputs["predict"])),
    )
