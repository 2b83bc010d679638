"""Would this network train? Asked by `check`, before hours are spent."""

from collections.abc import Sequence

import torch

from data.pixels.network_input import NetworkInput
from stages.networks.create import begun_network, create, network_kwargs
from stages.networks.input_size import feed_at
from stages.predict.config import Encoder
from stages.predict.embedding import embedding_width
from stages.predict.style import width_of
from stages.train.adjustment import refuse_without_bias
from stages.train.config import StudentConfig, TeacherConfig, TrainConfig
from stages.train.optimizer import parameter_groups
from stages.train.phases import frozen_names, refuse_unfit


def check_network(section: TeacherConfig | StudentConfig, num_classes: int, kind: NetworkInput) -> list[str]:
    """Build each network, load its weights, and pass two blank patches through it; lines for people.

    Raises ChainError naming the key at fault.
    """
    if isinstance(section, StudentConfig):
        return [_line(section, num_classes, kind, "student")]
    each = section.each()
    several = section.members and len(each) > 1
    if several:
        return [_line(one, num_classes, kind, f"teacher.members.{i}") for i, one in enumerate(each)]
    seeds = f", from {section.seeds} seeds" if section.seeds > 1 else ""
    return [_line(each[0], num_classes, kind, "teacher", seeds)]


def on_paper(section: TrainConfig, num_classes: int, kind: NetworkInput) -> torch.nn.Module:
    """Such a network without its numbers."""
    with torch.device("meta"):
        return create(section.backbone, network_kwargs(section, num_classes, kind), "backbone")


def weight_bytes(network: torch.nn.Module) -> int:
    """What the file of a network weighs."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def seen_bytes(networks: Sequence[torch.nn.Module], style: bool = False) -> int:
    """What is written of a patch as these networks, side by side, see it: id and values in float16; a file each."""
    widths = [sum(map(embedding_width, networks)), *map(width_of, networks if style else [])]
    return sum(8 + 2 * width for width in widths)


def check_encoder(encoder: Encoder, num_classes: int, kind: NetworkInput) -> str:
    """Build the frozen encoder with its weights and ask what it would write; a line. Raises as above."""
    network, source = begun_network(encoder.as_trained(), num_classes, encoder.input_of(kind), "predict.encoder")
    feed_at(network, encoder.size_px)
    with torch.inference_mode():
        network.eval()(torch.zeros(2, kind.channels, kind.size_px, kind.size_px))
    width = embedding_width(network) + (width_of(network) if encoder.style else 0)
    return f"predict.encoder: {encoder.backbone}, {width:,} values a patch, {source}"


def _line(
    section: TeacherConfig | StudentConfig, num_classes: int, kind: NetworkInput, role: str, seeds: str = ""
) -> str:
    network, source = begun_network(section, num_classes, kind, role)
    refuse_without_bias(network, section.logit_adjustment, role)
    frozen_names(network, section.frozen_stages, f"{role}.frozen_stages")
    parameter_groups(network, section.weight_decay, section.lr, section.lr_decay, f"{role}.lr_decay")
    size_px = kind.size_px
    if isinstance(section, StudentConfig) and section.finetune is not None:
        refuse_unfit(network, section.finetune, size_px, f"{role}.finetune")
        feed_at(network, section.finetune.size_px)
    if isinstance(section, StudentConfig) and section.warm_start:
        source = "the teacher's weights"
    with torch.inference_mode():
        shape = tuple(network.eval()(torch.zeros(2, kind.channels, size_px, size_px)).shape)
    assert shape == (2, num_classes), shape
    count = sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    parameters = f"{count / 1e6:.1f} M parameters"
    if trained < count:
        parameters += f", {trained:,} of them trained"
    return f"{role}: {section.backbone}, {parameters}, {source}{seeds}{_narrow(network, size_px)}"


def _narrow(network: torch.nn.Module, size_px: int) -> str:
    """What to know of patches so small that the network has one place left of them in the end; nothing of others."""
    info, fed = getattr(network, "feature_info", None), getattr(network, "input_px", None) or size_px
    if not info or fed > info[-1].get("reduction", 0):
        return ""
    return (
        f"; of {fed} px it sees a single place in the end: patches that are enlarged (a larger data.size_px with "
        "data.resize: true) tell it more"
    )
