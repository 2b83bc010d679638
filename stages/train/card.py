"""`model.json` of a training: what its network is and how to use it."""

from collections.abc import Sequence

from stages.networks.licences import Licence, licences_of, together
from stages.networks.model_card import ENSEMBLE, MemberCard, ModelCard, input_words
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.member import Trained
from stages.train.task import Task


def file_of(number: int, count: int) -> str:
    """Name of the weights of network `number` of `count`."""
    return "model.safetensors" if count == 1 else f"model-{number}.safetensors"


def card_of(task: Task, trained: Sequence[Trained]) -> ModelCard:
    """Of one network, or of an ensemble that lists its members."""
    first, kind, stain = trained[0], task.images.kind, task.images.stain
    several = len(trained) > 1
    members = [
        MemberCard(one.section.backbone, one.kwargs, *one.stats, file_of(i, len(trained)))
        for i, one in enumerate(trained)
    ]
    return ModelCard(
        name=ENSEMBLE if several else first.section.backbone,
        timm_kwargs={} if several else first.kwargs,
        classes=list(task.splits.classes),
        size_px=kind.size_px,
        mode=kind.mode,
        mean=first.stats[0],
        std=first.stats[1],
        weights=_weights(first.section),
        input=input_words(first.section.backbone, kind, stain is not None, first.input_px, several),
        **kind.plain(),
        stain=None if stain is None else stain.card(),
        input_px=first.input_px,
        members=members if several else [],
        licences=together(task.licences, *(_first_weights(one.section) for one in trained)),
    )


def _first_weights(section: TeacherConfig | StudentConfig) -> list[Licence]:
    # a student that begins warm has its teacher's, which are in the task's
    warm = isinstance(section, StudentConfig) and section.warm_start
    return [] if warm else licences_of(section.backbone, section.init)


def _weights(section: TeacherConfig | StudentConfig) -> str:
    return "averaged over steps (EMA)" if section.ema_decay else "of the last step"
