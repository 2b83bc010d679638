"""Would this network train? Asked by `check`, before hours are spent."""

import torch

from data.network_input import NetworkInput
from stages.networks import first_network
from stages.train.config import StudentConfig, TeacherConfig


def check_network(section: TeacherConfig | StudentConfig, num_classes: int, kind: NetworkInput) -> list[str]:
    """Build the network, load its weights, and pass two blank patches through it; lines for people.

    Raises ChainError naming the key at fault.
    """
    role = "student" if isinstance(section, StudentConfig) else "teacher"
    network = first_network(section, num_classes, kind, role)
    with torch.inference_mode():
        shape = tuple(network.eval()(torch.zeros(2, kind.channels, kind.size_px, kind.size_px)).shape)
    assert shape == (2, num_classes), shape
    count = sum(p.numel() for p in network.parameters())
    pretrained = "timm's pretrained weights" if section.init.path is None else f"weights of {section.init.path}"
    source = "random weights" if section.init.kind == "random" else pretrained
    return [f"{role}: {section.backbone}, {count / 1e6:.1f} M parameters, {source}"]
