"""The style of a patch: what it is made of, not where; the logits of the same pass are the network's own."""

import pytest
import timm
import torch

from data.errors import ChainError, ExitCode
from stages.networks.input_size import feed_at
from stages.predict.style import DEPTHS, styled, width_of

NETWORKS = ("test_resnet", "test_efficientnet", "test_vit", "test_convnext")


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    size = {"img_size": 32} if "vit" in request.param else {}
    made: torch.nn.Module = timm.create_model(request.param, num_classes=3, **size).eval()
    return made


@torch.inference_mode()
def test_one_pass_gives_the_logits_and_as_many_values_as_announced(network: torch.nn.Module) -> None:
    image = torch.randn(4, 3, 32, 32)
    logits, style = styled(network, image)
    torch.testing.assert_close(logits, network(image), atol=1e-4, rtol=1e-4)
    assert style.shape == (4, width_of(network))
    assert bool(torch.isfinite(style).all())  # of one place alone too
    assert style.dtype == torch.float32


@torch.inference_mode()
def test_a_patch_does_not_know_its_neighbours(network: torch.nn.Module) -> None:
    image = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(styled(network, image[:1])[1], styled(network, image)[1][:1], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_means_and_deviations_are_of_every_channel() -> None:
    network = timm.create_model("test_resnet", num_classes=3).eval()
    heard: list[torch.Tensor] = []
    network.layer2.register_forward_hook(lambda _module, _inputs, out: heard.append(out))
    _, style = styled(network, torch.randn(2, 3, 32, 32))
    at = 2 * sum(info["num_chs"] for info in network.feature_info[:2])
    channels = heard[0].shape[1]
    torch.testing.assert_close(style[:, at : at + channels], heard[0].mean((2, 3)))
    torch.testing.assert_close(style[:, at + channels : at + 2 * channels], heard[0].std((2, 3), correction=0))


@torch.inference_mode()
def test_a_network_that_is_fed_larger_images_sees_its_style_there_too() -> None:
    network = timm.create_model("test_resnet", num_classes=3).eval()
    image = torch.randn(2, 3, 32, 32)
    _, small = styled(network, image)
    enlarged = torch.nn.functional.interpolate(image, size=(80, 80), mode="bilinear", align_corners=False)
    want = styled(network, enlarged)
    feed_at(network, 80)
    logits, style = styled(network, image)
    torch.testing.assert_close((logits, style), want)
    torch.testing.assert_close(logits, network(image))
    assert not torch.allclose(style, small, atol=1e-3)


def test_a_deep_network_is_read_at_a_few_depths() -> None:
    network = timm.create_model("vit_tiny_patch16_224")
    assert width_of(network) == DEPTHS * 2 * 192


def test_a_network_that_hides_its_depths_is_refused_by_name() -> None:
    with pytest.raises(ChainError, match="style") as told:
        width_of(torch.nn.Sequential(torch.nn.Linear(2, 2)))
    assert told.value.code == ExitCode.MISMATCH
