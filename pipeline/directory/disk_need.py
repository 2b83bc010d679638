"""How much disk the rest of a chain needs: scores, embeddings, models, the checkpoints of one training at a time."""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass

from data.files.disk import refuse_if_short
from pipeline.config.chain import ChainConfig
from pipeline.directory.layout import Layout
from pipeline.plan import SPLITS, plan
from stages.train.config import TeacherConfig

KEPT_CHECKPOINTS = 3  # two, and the one being written
IN_A_CHECKPOINT = 4  # times the weights: they, their average, and AdamW's two moments


@dataclass(frozen=True)
class DiskNeed:
    """Bytes. Embeddings, models and checkpoints are 0 where the size of a network is not known yet."""

    scores: int
    embeddings: int
    models: int
    checkpoints: int

    @property
    def total(self) -> int:
        """All of it: nothing is taken away before the chain ends but the checkpoints of a finished training."""
        return self.scores + self.embeddings + self.models + self.checkpoints


def disk_need(
    config: ChainConfig,
    scored: int,
    classes: int,
    weights: Mapping[str, int],
    seen: Mapping[str, int],
    standing: Container[str] = (),
) -> DiskNeed:
    """For every step that does not stand. scored: patches that each predict step scores.

    weights: bytes of the network of each role; seen: bytes a patch of what each role writes of what it sees, and of
    the encoder, which writes in the first round alone.
    """
    steps = [step for step in plan(config) if step.address not in standing]
    opinions = max(config.teacher.snapshots, config.student.snapshots) + bool(config.predict.mc_passes)
    scores, embeddings = list[int](), list[int]()
    models, checkpoints = 0, 0
    for step in steps:
        first = step.address.startswith("rounds/00/")
        if step.kind == "predict":
            scores.append(scored * (8 + 2 * classes * (1 + opinions)))
            roles = ("teacher", "encoder") if first else ("student",)
            embeddings.append(scored * sum(seen.get(role, 0) for role in roles))
        role = "teacher" if step.address == "rounds/00/teacher" else "student"
        if step.kind not in ("train", "promote"):
            continue
        section = config.teacher if role == "teacher" else config.student
        networks = len(section.each()) if isinstance(section, TeacherConfig) else 1
        one = weights.get(role, 0) * networks
        models += one * (1 + section.snapshots)
        if step.kind == "train":
            checkpoints = max(checkpoints, one * IN_A_CHECKPOINT * KEPT_CHECKPOINTS)
    # the shards of a labelling lie beside what is made of them
    of_scores, of_embeddings = (sum(each) + max(each, default=0) for each in (scores, embeddings))
    return DiskNeed(of_scores, of_embeddings, models, checkpoints)


def refuse_short_disk(layout: Layout, config: ChainConfig) -> None:
    """Before a step is begun: raise ChainError (74) when what is left of the chain does not fit on the disk.

    Counts come from the splits that stand, sizes of networks from the models that stand; before that nothing is asked.
    """
    about = layout.place(SPLITS) / "splits.json"
    if not about.is_file():
        return
    found = json.loads(about.read_bytes())
    scored = sum(found["patches"][part] for part in ("pool", "validation", "test"))
    seen = _seen(layout, config, scored + found["patches"]["labelled"])
    need = disk_need(config, scored, len(found["classes"]), _weights(layout), seen, layout.standing())
    refuse_if_short(layout.root, need.total, "what is left of the chain")


def _weights(layout: Layout) -> dict[str, int]:
    found: dict[str, int] = {}
    for role in ("teacher", "student"):
        files = list(layout.place(f"rounds/00/{role}").glob("model*.safetensors"))
        if files:
            found[role] = max(path.stat().st_size for path in files)
    return found


def _seen(layout: Layout, config: ChainConfig, patches: int) -> dict[str, int]:
    # of students, as the first teacher had it, each member of an ensemble its own
    path = layout.place("rounds/00/predict") / "embeddings.h5"
    return {"student": path.stat().st_size // patches // len(config.teacher.each())} if path.is_file() else {}
