"""A student that goes on from its teacher's weights instead of beginning afresh."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from stages.networks.create import first_network, network_kwargs
from stages.networks.model_card import ModelCard
from stages.process.progress import LOG
from stages.train.config import StudentConfig


def warm_network(
    section: StudentConfig, num_classes: int, kind: NetworkInput, teacher: Path, key: str
) -> tuple[torch.nn.Module, tuple[list[float], list[float]]]:
    """The teacher's network, with the student's noise, and the teacher's normalisation (mean, std a channel).

    teacher: its directory. Raises ChainError (78) when the two are not the same network.
    """
    card = ModelCard.load(teacher / "model.json")
    own = network_kwargs(section, num_classes, kind)
    if card.members or (card.name, card.timm_kwargs) != (section.backbone, own):
        raise ChainError(
            f"{key}.warm_start: {section.backbone} cannot take over the weights of {card.shown}",
            "only a network of the same kind can go on from another",
            f"set {key}.warm_start: false, or the same backbone and init.kind for teacher and student",
            ExitCode.MISMATCH,
        )
    network = first_network(section, num_classes, kind, key)
    tensors = load_file(teacher / "model.safetensors")
    network.load_state_dict(tensors, strict=True)
    LOG.info(f"{key}.warm_start: all {len(tensors)} tensors of the teacher")
    return network, (card.mean, card.std)
