"""What ranks agree on, and how long they wait for each other."""

import time
from pathlib import Path

import pytest
import torch

from stages.process import distributed
from stages.process.distributed import joined, rank, summed
from tests.ranks import in_ranks


@pytest.mark.parametrize("hang_timeout_s", [0, 60])
def test_a_rank_that_takes_longer_than_the_margin_is_waited_for(
    hang_timeout_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 is never: it must not be the shortest of all."""
    monkeypatch.setattr(distributed, "MARGIN_S", 1.0)

    def meet() -> None:
        with joined("gloo", hang_timeout_s):
            time.sleep(3 * rank())
            assert summed(torch.ones(1)).item() == 2

    in_ranks(2, meet, tmp_path / "log")
