"""Steps are counted whoever makes them."""

from pathlib import Path

import torch

from benchmarks.beside_others.launch import count_steps


def test_every_step_of_every_optimiser_is_a_byte(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    ended = count_steps(str(tmp_path / "steps"))
    try:
        for optimiser in (torch.optim.SGD([weight], lr=0.1), torch.optim.AdamW([weight])):
            for _ in range(3):
                optimiser.step()
    finally:
        ended.remove()
    assert (tmp_path / "steps").stat().st_size == 6
