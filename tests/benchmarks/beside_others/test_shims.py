"""The stand-ins without which WILDS' examples do not start."""

import pytest
import torch

from benchmarks.beside_others.setting import Setting
from benchmarks.beside_others.shims import share, transformers, wilds_name


def test_schedules_rise_to_the_peak_and_end_at_nothing() -> None:
    assert [share(step, 2, 6, "linear") for step in range(7)] == [0, 0.5, 1, 0.75, 0.5, 0.25, 0]
    assert [share(step, 2, 6, "cosine") for step in (0, 2, 4, 6)] == pytest.approx([0, 1, 0.5, 0])


def test_the_schedule_of_the_module_is_of_an_optimiser() -> None:
    module = transformers()
    optimiser = module.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = module.get_cosine_schedule_with_warmup(optimiser, num_warmup_steps=2, num_training_steps=4)
    optimiser.step()
    schedule.step()
    assert schedule.get_last_lr() == [1.0]


def test_what_is_for_texts_can_be_imported() -> None:
    module = transformers()
    assert isinstance(module.BertTokenizerFast, type)
    with pytest.raises(AttributeError):
        module.__file__  # noqa: B018  what imports look at must stay unknown


@pytest.mark.parametrize(("network", "name"), [("resnet10t", "resnet18"), ("tf_efficientnet_lite0", "densenet121")])
def test_a_network_goes_by_the_name_whose_last_layer_fits(network: str, name: str) -> None:
    assert wilds_name(network, Setting(network=network)) == name


def test_a_network_whose_last_layer_wilds_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="vit_tiny_patch16_224: its last layer is 'head'"):
        wilds_name("vit_tiny_patch16_224", Setting(network="vit_tiny_patch16_224"))
