"""One training as Lightning sees it: a step's loss, the averaged weights, validation, nothing about disks."""

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from timm.utils.model_ema import ModelEmaV3
from torch.utils.data import DataLoader

from data.errors import ChainError, ExitCode
from data.images import Images
from data.keys import seed_of
from data.table import id_text
from stages import quality
from stages.loading import PlainPatches, in_batches, loader
from stages.predict.scoring import log_probs, normalise
from stages.train.batches import Batch, Steps, TrainingPatches
from stages.train.config import TrainConfig


class Training(pl.LightningModule):
    """Cross-entropy against target distributions over one batch of labelled and pseudo-labelled patches.

    Loss (Xie et al., CVPR 2020): mean over the labelled part + ratio * weighted mean over the
    pseudo-labelled part. Without a pseudo-labelled part it is the supervised loss. Of a patch that comes with
    classes it is not, `negative_loss` is added.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        section: TrainConfig,
        patches: TrainingPatches,
        counts: list[int],
        normalisation: tuple[list[float], list[float]],
        address: str,
        seed: int,
        workers: int,
        validation: tuple[Images, np.ndarray, np.ndarray],
    ) -> None:
        super().__init__()
        self.network, self.section, self.patches, self.counts = network, section, patches, counts
        self.address, self.seed, self.workers, self.validation = address, seed, workers, validation
        self.ema = ModelEmaV3(network, decay=section.ema_decay, use_warmup=True, warmup_power=0.75)
        self.ema.requires_grad_(False)
        for name, values in zip(("mean", "std"), normalisation, strict=True):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        self.history: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._scored: list[torch.Tensor] = []

    # --- batches -------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches from the present step to the next validation: made anew for each stretch."""
        start = self.global_step
        steps = Steps([len(s.ids) for s in self.patches.streams], self.counts, self.seed, start, self.next_stop(start))
        return loader(self.patches, steps, self.workers, seed_of(self.seed, "loader", start))

    def next_stop(self, step: int) -> int:
        """The step of the next validation after `step`: multiples of `evaluate_every`, and the end."""
        every = self.section.evaluate_every
        return min((step // every + 1) * every, self.section.steps)

    def val_dataloader(self) -> Any:
        """Validation patches, in id order; nothing where there is no validation split."""
        images, ids, _ = self.validation
        if len(ids) == 0:
            return []
        patches = PlainPatches(images, images.store.rows(ids))
        batches = in_batches(len(ids), 4 * self.section.batch_size)
        return loader(patches, batches, self.workers, seed=0)

    # --- training ------------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout and stochastic depth draw from a seed of this step, so a resume draws the same."""
        torch.manual_seed(seed_of(self.seed, "step", self.global_step))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of one step. Raises ChainError (3) the moment it is not finite."""
        logits = self.network(normalise(batch.image, self._buffer("mean"), self._buffer("std")))
        each = -(batch.target * logits.float().log_softmax(1)).sum(1)
        if batch.negative is not None:
            each = each + negative_loss(logits.float(), batch.negative)
        each = each * batch.weight
        loss: torch.Tensor = each[batch.labelled].mean()
        if len(self.counts) > 1:
            loss = loss + self.counts[1] / self.counts[0] * each[~batch.labelled].mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            ids = ", ".join(id_text(int(i)) for i in batch.patch_id[:3].cpu().numpy().view(np.uint64))
            raise ChainError(
                f"{self.address}: the loss became {value} at step {self.global_step}",
                f"learning rate {self._lr():.3g}, patches {ids}, ...",
                "lower lr or set clip_norm; the last checkpoint and all finished stages are untouched",
                ExitCode.DIVERGED,
            )
        self._losses.append(value)
        self.log_dict({"loss": value, "lr": self._lr()})
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Averaged weights follow every step; early on they follow closely (decay warm-up)."""
        self.ema.update(self.network, step=self.global_step)

    def configure_optimizers(self) -> Any:
        """AdamW without decay on biases and norms; linear warm-up, then half a cosine to zero."""
        section = self.section
        decayed = [p for p in self.network.parameters() if p.requires_grad and p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.requires_grad and p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": section.weight_decay}, {"params": plain, "weight_decay": 0.0}],
            lr=section.lr,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, section))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # --- validation ----------------------------------------------------------------------------------

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> None:
        """Score with the averaged weights, as labelling does."""
        image = normalise(batch[0], self._buffer("mean"), self._buffer("std"))
        self._scored.append(log_probs(self.ema.module.eval(), image, 1).cpu())

    def on_train_epoch_end(self) -> None:
        """One line of history for each stretch between validations."""
        if not self._losses:
            return  # resumed from a checkpoint that was written at the end of a stretch: Lightning ends it once more
        entry: dict[str, float] = {"step": self.global_step, "loss": float(np.mean(self._losses)), "lr": self._lr()}
        if self._scored:
            _, _, label = self.validation
            classes = [str(k) for k in range(self._scored[0].shape[1])]
            found = quality.evaluate(torch.cat(self._scored).numpy(), label, classes)
            entry |= {f"validation_{key}": found[key] for key in ("accuracy", "balanced_accuracy", "nll")}
            self.log_dict({key: value for key, value in entry.items() if key.startswith("validation_")})
        self.history.append(entry)
        self._losses, self._scored = [], []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The history is part of what the stage publishes, so it travels with the checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up again."""
        self.history = list(checkpoint["history"])

    def _lr(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def _buffer(self, name: str) -> torch.Tensor:
        return self.get_buffer(name)


def negative_loss(logits: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Mean of -log(1 - p_c) over the classes a patch is not (Rizve et al. 2021, equation 5): (B,), 0 without any.

    logits: (B, C) float32; negative: (B, C) of 0 and 1.
    """
    # log(1 - p_c) is the log of what all other classes have together: exact where p_c is all but 1
    others = logits[:, None, :].masked_fill(
        torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device), -torch.inf
    )
    each = logits.logsumexp(1, keepdim=True) - others.logsumexp(2)
    return (each * negative).sum(1) / negative.sum(1).clamp_min(1)


def learning_rate(step: int, section: TrainConfig) -> float:
    """Share of the peak learning rate at `step`: linear warm-up, then half a cosine to zero."""
    rise = max(1, round(section.warmup * section.steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, section.steps - rise)))
