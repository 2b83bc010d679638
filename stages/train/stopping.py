"""A training asked to end: the ranks agree between two steps, save what is between two validations, and end.

A checkpoint written there is made to look to Lightning like one at the end of a stretch: the next start begins a
stretch of what is left of it, with the losses so far, and ends with the same bytes as if nothing had been.
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from stages.process import signals
from stages.process.distributed import rank, stop_agreed, summed, world_size


class StopBetweenSteps(pl.Callback):
    """Saves into `checkpoints` and raises `Ended` at the first boundary after a signal, on every rank alike."""

    def __init__(self, checkpoints: Path, total: int) -> None:
        self.checkpoints, self.total = checkpoints, total

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Lightning has taken SIGTERM by now."""
        signals.take_back()

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """The only place where a training ends early; with --accumulate between steps, not pieces."""
        if batch_idx % trainer.accumulate_grad_batches or not stop_agreed(signals.asked()):
            return
        if module.losses:  # else the checkpoint of the last validation says all there is
            trainer.save_checkpoint(checkpoint_at(self.checkpoints, trainer.global_step))
        raise signals.Ended(signals.code(), f"saved at step {trainer.global_step:,} of {self.total:,}")

    def on_save_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """The losses of the present stretch travel along: their mean is published when it is whole."""
        _end_stretch(checkpoint["loops"]["fit_loop"])
        mine = torch.zeros(world_size(), len(module.losses), dtype=torch.float64)
        mine[rank()] = torch.tensor(module.losses, dtype=torch.float64)
        checkpoint["losses"] = summed(mine).tolist()  # each rank's, exactly: the others hold 0 there

    def on_load_checkpoint(self, trainer: Any, module: Any, checkpoint: dict[str, Any]) -> None:
        """Take them up again; with another number of ranks, their mean."""
        each = checkpoint["losses"]
        same = len(each) == world_size()
        module.losses = each[rank()] if same else [sum(one) / len(one) for one in zip(*each, strict=True)]


def checkpoint_at(directory: Path, step: int) -> Path:
    """Its file: named by the step, because nothing is ordered by time."""
    return directory / f"step-{step:09d}.ckpt"


def _end_stretch(loop: dict[str, Any]) -> None:
    """Lightning's counters as they are after a last batch: what it does next is begin a stretch anew."""
    batches, epochs = loop["epoch_loop.batch_progress"], loop["epoch_progress"]
    done = batches["total"]["completed"]
    batches["total"] |= {"ready": done, "started": done, "processed": done}  # the next batch is read, not trained on
    batches["current"] = dict.fromkeys(batches["current"], 0)
    batches["is_last_batch"] = True
    for count in (epochs["total"], epochs["current"]):
        count |= {"processed": count["ready"], "completed": count["ready"] - 1}
