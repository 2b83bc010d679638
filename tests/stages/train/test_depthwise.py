"""Depthwise convolutions compute in 32 bits under bf16 on a CPU, and only there, and only for as long."""

import copy
from typing import Any

import pytest
import timm
import torch

from stages.train.depthwise import depthwise_in_full

BF16: dict[str, Any] = {"accelerator": "cpu", "precision": "bf16-mixed"}


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    made: torch.nn.Module = timm.create_model("tf_mobilenetv3_small_minimal_100", num_classes=3)
    return made


def found(model: torch.nn.Module, image: torch.Tensor) -> dict[str, set[torch.dtype]]:
    """What convolutions give under autocast: depthwise ones, and others."""
    given: dict[str, set[torch.dtype]] = {"depthwise": set(), "others": set()}

    def look(part: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        assert isinstance(part, torch.nn.Conv2d)
        given["depthwise" if part.groups > 1 else "others"].add(output.dtype)

    hooks = [part.register_forward_hook(look) for part in model.modules() if isinstance(part, torch.nn.Conv2d)]
    with torch.autocast("cpu", torch.bfloat16):
        model(image).float().sum().backward()
    for hook in hooks:
        hook.remove()
    return given


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        (BF16, torch.float32),
        (BF16 | {"accelerator": "gpu"}, torch.bfloat16),
        (BF16 | {"precision": "32-true"}, torch.bfloat16),
    ],
)
def test_only_depthwise_ones_and_only_in_bf16_on_a_cpu(flags: dict[str, Any], dtype: torch.dtype) -> None:
    model, image = network(), torch.randn(2, 3, 32, 32)
    with depthwise_in_full(model, flags):
        assert found(model, image) == {"depthwise": {dtype}, "others": {torch.bfloat16}}
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_afterwards_the_network_is_what_it_was_whatever_happened() -> None:
    model = network()
    before = [type(part) for part in model.modules()], list(model.state_dict())
    with pytest.raises(RuntimeError), depthwise_in_full(model, BF16):
        model(torch.zeros(1, 5, 32, 32))  # not as many channels as it takes
    assert ([type(part) for part in model.modules()], list(model.state_dict())) == before


def test_a_copy_that_is_made_meanwhile_has_weights_of_its_own() -> None:
    model, image = network().eval(), torch.randn(1, 3, 32, 32)
    with depthwise_in_full(model, BF16), torch.no_grad():
        other = copy.deepcopy(model)
        said = model(image)
        for parameter in other.parameters():
            parameter.zero_()
        assert torch.equal(model(image), said)
        assert not torch.equal(other(image), said)


def test_in_32_bits_it_is_the_same_function() -> None:
    model, image = network().eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = model(image)
        with depthwise_in_full(model, BF16):
            assert torch.equal(model(image), before)
