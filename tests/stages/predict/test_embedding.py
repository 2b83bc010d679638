"""Listening at a classifier: as wide as announced, and only where somebody takes what is heard."""

import timm
import torch

from stages.networks.ensemble import Ensemble
from stages.predict.embedding import Tap, embedding_width


def network(name: str) -> torch.nn.Module:
    made: torch.nn.Module = timm.create_model(name, num_classes=3).eval()
    return made


@torch.inference_mode()
def test_what_is_heard_is_as_wide_as_announced() -> None:
    members = [network("test_resnet"), network("test_efficientnet")]
    both = Ensemble(members, [([0.5] * 3, [0.2] * 3)] * 2, ([0.5] * 3, [0.2] * 3)).eval()
    for one in (*members, both):
        tap = Tap(one)
        one(torch.randn(2, 3, 32, 32))
        assert tap.take().shape == (2, embedding_width(one))


@torch.inference_mode()
def test_a_question_for_the_width_leaves_no_listener() -> None:
    one = network("test_resnet")
    embedding_width(one)  # a listener of which nobody takes anything would keep the embeddings of a whole pool
    assert not any(module._forward_pre_hooks for module in one.modules())
