"""What a device computes never meets a tensor of the host.

No GPU is needed: PyTorch's meta device computes shapes alone, and refuses tensors of the host as a GPU does.
"""

import numpy as np
import pytest
import timm
import torch

from data.augment.ct import CtNoiseDrawer
from data.augment.noise import PRESETS, Noise
from data.augment.pipeline import NoiseDrawer
from data.images import Drawer
from data.pixels.windows import windows_of
from stages.predict.folding import folded
from stages.predict.mc_dropout import deviation
from stages.predict.scoring import VIEWS, log_probs, normalise
from stages.predict.style import styled, width_of
from stages.train.module import negative_loss
from stages.train.on_device import Group, disturbed, groups

DEVICE = torch.device("meta")
COUNT, SIZE, CLASSES = 48, 32, 3
WINDOWS = windows_of(["lung", "soft_tissue"])
EVERYTHING = {"crop": 0.3, "blur": 1.0, "grain": 1.0}
DRAWERS: dict[str, tuple[Drawer, type, int, int]] = {
    "rgb8": (NoiseDrawer(Noise(**(PRESETS["strong"] | EVERYTHING)), 3), np.uint8, 3, 3),
    "grey16": (NoiseDrawer(Noise(**(PRESETS["strong"] | {"jpeg": 0, "stain": 0} | EVERYTHING)), 1), np.float32, 1, 1),
    "hu16": (CtNoiseDrawer(Noise(**PRESETS["ct_strong"]), WINDOWS), np.int16, 3, 6),
}


def test_this_device_refuses_what_lies_on_the_host() -> None:
    with pytest.raises(RuntimeError, match="expected device"):
        torch.zeros(3, device=DEVICE) + torch.zeros(3)


@pytest.mark.parametrize("kind", DRAWERS)
def test_noise_is_done_where_the_batch_lies(kind: str) -> None:
    drawer, dtype, channels, seen = DRAWERS[kind]
    begun = [drawer.begun(np.zeros((SIZE, SIZE, channels), dtype), seed) for seed in range(COUNT)]
    image = torch.from_numpy(np.stack([patch for patch, _ in begun])).permute(0, 3, 1, 2).to(DEVICE)
    drawn = groups([left for _, left in begun])
    assert len(drawn) > 5
    found = disturbed(image, {name: Group(*(one.to(DEVICE) for one in group)) for name, group in drawn.items()})
    assert (found.device, found.shape) == (DEVICE, (COUNT, seen, SIZE, SIZE))


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0"])
def test_scores_style_and_deviations_come_from_where_the_network_is(name: str) -> None:
    network = timm.create_model(name, num_classes=CLASSES, drop_rate=0.2, drop_path_rate=0.1).eval().to(DEVICE)
    image = torch.zeros(COUNT, 3, SIZE, SIZE, dtype=torch.uint8, device=DEVICE)
    mean, std = (torch.ones(3, 1, 1, device=DEVICE) for _ in range(2))
    seen = normalise(image, mean, std)
    for views in VIEWS:
        assert log_probs(folded(network), seen, views).device == DEVICE
    assert styled(network, seen)[1].shape == (COUNT, width_of(network))
    assert deviation(network, seen, 3, seed=0).device == DEVICE


def test_negative_labels_teach_where_the_logits_are() -> None:
    both = [torch.zeros(COUNT, CLASSES, device=DEVICE) for _ in range(2)]
    assert negative_loss(*both).device == DEVICE
