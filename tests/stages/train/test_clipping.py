"""A gradient is cut to `clip_norm` exactly as PyTorch cuts it, and by no other norm than the one that was checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.train import stage
from stages.train.config import StudentConfig
from stages.train.module import Training
from tests.tiny import TINY

Order = Callable[..., Any]


def norms(
    make_order: Order, where: Path, inputs: dict[str, Path], clip_norm: float, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[float, float]]:
    """Of each step, the norm before and after; and a check that what is left is what PyTorch would have left."""
    clipped, seen = Training.configure_gradient_clipping, []

    def watched(self: Training, *args: Any, **kwargs: Any) -> None:
        owners = [p for p in self.network.parameters() if p.grad is not None]
        twins = [torch.nn.Parameter(p.detach().clone()) for p in owners]
        for twin, owner in zip(twins, owners, strict=True):
            assert owner.grad is not None
            twin.grad = owner.grad.clone()
        before = float(torch.nn.utils.get_total_norm([twin.grad for twin in twins if twin.grad is not None]))
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(twins, clip_norm)
        clipped(self, *args, **kwargs)
        left = [p.grad for p in owners if p.grad is not None]
        assert all(torch.equal(one, twin.grad) for one, twin in zip(left, twins, strict=True))
        seen.append((before, float(torch.nn.utils.get_total_norm(left))))

    monkeypatch.setattr(Training, "configure_gradient_clipping", watched)
    section = StudentConfig.model_validate(TINY | {"clip_norm": clip_norm}).model_dump(mode="json")
    stage.run(make_order("train", "rounds/00/student", where, section, inputs))
    assert seen
    return seen


@pytest.mark.parametrize("share", [0.0, 0.5, 1e6])
def test_only_what_is_longer_is_cut(
    share: float,
    make_order: Order,
    patches: dict[str, Path],
    labelled_pool: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """share: of the longest gradient there is without any; 0 for no clipping."""
    inputs = patches | labelled_pool
    with monkeypatch.context() as patched:
        plain = norms(make_order, tmp_path / "plain", inputs, 0.0, patched)
    assert all(before == after for before, after in plain)
    bound = share * max(before for before, _ in plain)
    found = norms(make_order, tmp_path / "clipped", inputs, bound, monkeypatch)
    if bound:
        assert all(after <= bound * 1.0001 for _, after in found)
    assert all(before == after for before, after in found if not bound or before < bound)
    assert any(after < before for before, after in found) == (share == 0.5)
