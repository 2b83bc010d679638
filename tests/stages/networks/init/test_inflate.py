"""An inflated network says of every slice what the 2-D network says of it."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from data.errors import ChainError
from data.pixels.network_input import NetworkInput
from data.pixels.windows import windows_of
from stages.networks.create import first_network
from stages.train.config import Init, TeacherConfig

KIND = NetworkInput("hu16", 32, 9, windows_of(["lung", "bone", "liver"]))


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("flat") / "resnet18.safetensors"
    tensors = timm.create_model("resnet18").state_dict()
    for name, tensor in tensors.items():
        if "running" in name:
            tensors[name] = tensor + 0.1 * torch.rand_like(tensor)
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(("name", "every"), [("torchvision/r3d_18", 8), ("torchvision/mc3_18", 1)])
def test_slice_by_slice_it_is_the_flat_network(flat: Path, name: str, every: int) -> None:
    """Oracle: timm's ResNet-18 without its first pooling, which the video networks do not have."""
    section = TeacherConfig(backbone=name, init=Init(kind="full", path=flat))
    deep = first_network(section, 2, KIND, "teacher").eval()
    plain = timm.create_model("resnet18", checkpoint_path=str(flat)).eval()
    plain.maxpool = torch.nn.Identity()
    volume = torch.randn(2, 3, 9, 32, 32)
    with torch.inference_mode():
        x = volume
        for part in ("stem", "layer1", "layer2", "layer3", "layer4"):
            x = deep.get_submodule(part)(x)
        for t in range(x.shape[2]):
            expected = plain.forward_features(volume[:, :, t * every])
            assert torch.allclose(x[:, :, t], expected, atol=1e-4)
    assert x.shape[2] == -(-9 // every)


def test_a_network_of_another_build_is_refused(flat: Path) -> None:
    section = TeacherConfig(backbone="torchvision/r2plus1d_18", init=Init(kind="full", path=flat))
    with pytest.raises(ChainError, match="does not fit torchvision/r2plus1d_18"):
        first_network(section, 2, KIND, "teacher")
