"""The loss of a step and the average of the weights, each against its formula written out."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from stages.train.batches import Batch
from stages.train.config import StudentConfig
from stages.train.module import Training
from stages.train.phases import Phase
from stages.train.share import Share

LABELLED, PSEUDO, CLASSES = 2, 4, 3


def training(share: Share | None = None, counts: tuple[int, ...] = (LABELLED, PSEUDO), **section: Any) -> Training:
    """Of two phases of ten steps, on images of 4 px; nothing here reads a patch from disk."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16, CLASSES), torch.nn.BatchNorm1d(CLASSES))
    phases = [Phase(start, start + 10, 1e-3, cast(Any, SimpleNamespace()), list(counts)) for start in (0, 10)]
    normalisation, unread = ([0.0] * 3, [1.0] * 3), cast(Any, (None, np.empty(0), np.empty(0)))
    return Training(network, StudentConfig(**section), phases, normalisation, "test", 0, 0, unread, share).eval()


def batch() -> Batch:
    """Given labels smoothed, pseudo-labels soft and weighted, one of them with classes that it is not."""
    rng = np.random.default_rng(1)
    size = LABELLED + PSEUDO
    negative = np.zeros((size, CLASSES), np.float32)
    negative[-1, :2] = 1
    return Batch(
        image=torch.from_numpy(rng.random((size, 3, 4, 4), np.float32)),
        patch_id=torch.arange(size),
        target=torch.from_numpy(rng.dirichlet(np.ones(CLASSES), size).astype(np.float32)),
        weight=torch.tensor([1.0, 1.0, 0.0, 0.3, 1.0, 0.7]),
        labelled=torch.arange(size) < LABELLED,
        negative=torch.from_numpy(negative),
    )


def by_hand(one: Training, of: Batch) -> float:
    """Mean over given labels, and the ratio times the mean of weighted losses of pseudo-labels."""
    p = one.network(of.image).double().softmax(1).detach().numpy()
    target, weight, negative = (part.double().numpy() for part in (of.target, of.weight, cast(Any, of.negative)))
    each = []
    for row in range(len(p)):
        loss = -sum(target[row, k] * np.log(p[row, k]) for k in range(CLASSES))
        never = [-np.log(1 - p[row, k]) for k in range(CLASSES) if negative[row, k]]
        each.append(weight[row] * (loss + (np.mean(never) if never else 0)))
    return float(np.mean(each[:LABELLED]) + PSEUDO / LABELLED * np.mean(each[LABELLED:]))


def test_what_a_step_drops_is_drawn_anew_at_every_step_and_the_same_when_it_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, drawn = training(), []
    for step in (3, 4, 3):
        monkeypatch.setattr(Training, "global_step", step)
        one.on_train_batch_start(batch(), 0)
        drawn.append(torch.nn.functional.dropout(torch.ones(64)).tolist())
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


def test_the_loss_is_the_published_one_and_a_patch_counts_as_much_as_its_weight() -> None:
    one = training()
    assert float(one.training_step(batch(), 0).detach()) == pytest.approx(by_hand(one, batch()), rel=1e-5)


@pytest.mark.parametrize("pieces", [2, 4, 6])
def test_the_mean_over_pieces_is_the_loss_of_the_whole(pieces: int) -> None:
    one, whole = training(Share(accumulate=pieces)), batch()
    losses = []
    for piece in range(pieces):
        rows = list(one.share.places(LABELLED + PSEUDO, piece))
        part = Batch(*(None if value is None else value[rows] for value in whole[:-1]))  # type: ignore[arg-type]
        losses.append(float(one.training_step(part, piece).detach()))
    assert np.mean(losses) == pytest.approx(by_hand(one, whole), rel=1e-5)


def test_averaged_weights_follow_closely_at_first_in_each_phase_and_statistics_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decay 1 - t^-0.75 of a phase's t-th step, at most `ema_decay`: no trace is left of the first weights."""
    one = training(ema_decay=0.8)
    now = {"step": 0}
    monkeypatch.setattr(Training, "global_step", property(lambda _: now["step"]))
    rng, wanted = np.random.default_rng(0), np.nan
    for step in range(1, 21):
        value = float(rng.random())
        for tensor in (one.network[1].weight.data, one.network[2].running_mean):  # type: ignore[index,union-attr]
            tensor.fill_(value)
        now["step"] = step
        one.on_train_batch_end(None, cast(Any, None), 0)
        t = (step - 1) % 10 + 1
        decay = min(0.8, 1 - t**-0.75)
        wanted = value if decay == 0 else decay * wanted + (1 - decay) * value
        averaged = one.finished()
        for tensor in (averaged[1].weight, averaged[2].running_mean):  # type: ignore[index,union-attr]
            assert tensor.detach().numpy() == pytest.approx(wanted, abs=1e-6)
