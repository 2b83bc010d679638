"""Folding changes no score but by rounding, and takes out only what it may."""

import pytest
import timm
import torch
from timm.layers.std_conv import StdConv2d
from torch import nn

from stages.networks.ensemble import Ensemble
from stages.networks.volume import create_volume_network
from stages.predict.embedding import Tap
from stages.predict.folding import folded


def trained(network: nn.Module) -> nn.Module:
    """Statistics as after a training: a fresh normalisation does nothing."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(getattr(module, "running_mean", None), torch.Tensor):
            assert isinstance(module.running_mean, torch.Tensor)
            assert isinstance(module.running_var, torch.Tensor)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
            for one in module.parameters(recurse=False):
                nn.init.uniform_(one, 0.5, 1.5)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(hasattr(module, "running_mean") for module in network.modules())


# backbone -> (normalisations it has, of which cannot be folded)
NETWORKS = {
    "test_resnet": 0, "test_efficientnet": 0, "tf_efficientnet_lite0": 0, "resnet10t": 0, "densenet121": 62,
    "resnetv2_50": 17, "test_vit": 0, "test_byobnet": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_scores_are_those_of_the_network_itself(name: str) -> None:
    size = 160 if name == "test_vit" else 64
    network = trained(timm.create_model(name, num_classes=5))
    image = torch.randn(3, 3, size, size)
    before, count, keys = network(image), norms(network), set(network.state_dict())
    found = folded(network)
    torch.testing.assert_close(found(image), before, atol=1e-3 * float(before.abs().max()), rtol=1e-3)
    assert (norms(found), count > 0) == (NETWORKS[name], name != "test_vit")
    assert torch.equal(network(image), before), "the network itself was changed"
    assert set(network.state_dict()) == keys


@torch.inference_mode()
def test_volumes_and_ensembles_are_folded_too() -> None:
    volume = trained(create_volume_network("torchvision/r3d_18", 3, in_chans=1, depth=4))
    image = torch.randn(2, 4, 32, 32)
    torch.testing.assert_close(folded(volume)(image), volume(image), atol=1e-3, rtol=1e-3)
    assert norms(folded(volume)) == 0
    members = [trained(timm.create_model("test_resnet", num_classes=3)) for _ in range(2)]
    own = [([0.5] * 3, [0.2] * 3), ([0.4] * 3, [0.3] * 3)]
    both = Ensemble(members, own, own[0]).eval()
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(folded(both)(image), both(image), atol=1e-4, rtol=1e-3)
    assert norms(folded(both)) == 0
    tap = Tap(folded(both))
    folded(both)(image)  # another copy: nothing is heard of it
    assert tap._heard == [[], []]


class Odd(nn.Module):
    """Convolution and normalisation, and something that forbids to fold them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, track_running_stats=how != "statistics of the batch")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """image: (B, 3, H, W)."""
        if self.how == "branches" and image.sum() > 1e9:
            return image
        seen: torch.Tensor = self.first(image)
        if self.how == "a shortcut":
            return self.norm(seen) + seen  # type: ignore[no-any-return]
        if self.how == "twice":
            return self.norm(self.first(self.norm(seen)))  # type: ignore[no-any-return]
        return self.norm(seen)  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["a shortcut", "twice", "branches", "statistics of the batch", "standardised"])
@torch.inference_mode()
def test_what_must_not_be_folded_is_left(how: str) -> None:
    network = trained(Odd(how))
    if how == "standardised":
        assert isinstance(network, Odd)
        network.first = StdConv2d(3, 3, 3, padding=1)
    assert folded(network) is network


@torch.inference_mode()
def test_odd_networks_fold_when_nothing_forbids_it() -> None:
    network, image = trained(Odd("plain")), torch.randn(2, 3, 8, 8)
    assert norms(folded(network)) == 0
    torch.testing.assert_close(folded(network)(image), network(image))
