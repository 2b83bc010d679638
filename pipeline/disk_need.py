"""How much disk the rest of a chain needs: scores, models, and the checkpoints of one training at a time."""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass

from data.disk import refuse_if_short
from pipeline.chain_config import ChainConfig
from pipeline.layout import Layout
from pipeline.plan import SPLITS, plan
from stages.train.config import TeacherConfig

KEPT_CHECKPOINTS = 3  # two, and the one being written
IN_A_CHECKPOINT = 4  # times the weights: they, their average, and AdamW's two moments


@dataclass(frozen=True)
class DiskNeed:
    """Bytes. Models and checkpoints are 0 where the size of a network is not known yet."""

    scores: int
    models: int
    checkpoints: int

    @property
    def total(self) -> int:
        """All of it: nothing is taken away before the chain ends but the checkpoints of a finished training."""
        return self.scores + self.models + self.checkpoints


def disk_need(
    config: ChainConfig, scored: int, classes: int, weights: Mapping[str, int], standing: Container[str] = ()
) -> DiskNeed:
    """For every step that does not stand. scored: patches that each predict step scores; weights: role -> bytes."""
    steps = [step for step in plan(config) if step.address not in standing]
    opinions = max(config.teacher.snapshots, config.student.snapshots) + bool(config.predict.mc_passes)
    scores = scored * (8 + 2 * classes * (1 + opinions))
    predicts = sum(step.kind == "predict" for step in steps)
    models, checkpoints = 0, 0
    for step in steps:
        role = "teacher" if step.address == "rounds/00/teacher" else "student"
        if step.kind not in ("train", "promote"):
            continue
        section = config.teacher if role == "teacher" else config.student
        networks = len(section.each()) if isinstance(section, TeacherConfig) else 1
        one = weights.get(role, 0) * networks
        models += one * (1 + section.snapshots)
        if step.kind == "train":
            checkpoints = max(checkpoints, one * IN_A_CHECKPOINT * KEPT_CHECKPOINTS)
    return DiskNeed(scores * (predicts + 1) if predicts else 0, models, checkpoints)


def refuse_short_disk(layout: Layout, config: ChainConfig) -> None:
    """Before a step is begun: raise ChainError (74) when what is left of the chain does not fit on the disk.

    Counts come from the splits that stand, sizes of networks from the models that stand; before that nothing is asked.
    """
    about = layout.place(SPLITS) / "splits.json"
    if not about.is_file():
        return
    found = json.loads(about.read_bytes())
    scored = sum(found["patches"][part] for part in ("pool", "validation", "test"))
    need = disk_need(config, scored, len(found["classes"]), _weights(layout), layout.standing())
    refuse_if_short(layout.root, need.total, "what is left of the chain")


def _weights(layout: Layout) -> dict[str, int]:
    found: dict[str, int] = {}
    for role in ("teacher", "student"):
        files = list(layout.place(f"rounds/00/{role}").glob("model*.safetensors"))
        if files:
            found[role] = max(path.stat().st_size for path in files)
    return found
