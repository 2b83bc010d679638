"""One training as Lightning sees it: a step's loss, the averaged weights, validation, nothing about disks."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from timm.utils.model_ema import ModelEmaV3
from torch.utils.data import DataLoader

from data import fault
from data.errors import ChainError, ExitCode
from data.images import Images
from data.keys import seed_of
from data.patches.ids import id_text
from stages.loading import PlainPatches, in_batches, loader
from stages.measures import quality
from stages.networks.init.frozen import freeze, rest_frozen_norms
from stages.networks.input_size import feed_at
from stages.predict.folding import folded
from stages.predict.scoring import log_probs, normalise, pieces
from stages.process import heartbeat
from stages.process.distributed import summed
from stages.process.progress import LOG
from stages.process.sharded import is_sharded
from stages.train.batches import Batch
from stages.train.config import TrainConfig
from stages.train.optimizer import learning_rate, parameter_groups
from stages.train.phases import Phase, frozen_names, phase_at
from stages.train.share import Share
from stages.train.whole_batch import WholeBatch

LOG_EVERY = 10  # steps between two points of the curves


class Training(pl.LightningModule):
    """Cross-entropy against target distributions over one batch of labelled and pseudo-labelled patches.

    Loss (Xie et al., CVPR 2020): mean over the labelled part + ratio * weighted mean over the
    pseudo-labelled part. In a phase of one part it is the mean over that part. Of a patch that comes with
    classes it is not, `negative_loss` is added.

    shifts: of each phase (C,), what is taken from the logits once it is done (`adjustment`), and wherever weights of it
    are judged or kept before that; None: nothing.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        section: TrainConfig,
        phases: list[Phase],
        normalisation: tuple[list[float], list[float]],
        address: str,
        seed: int,
        workers: int,
        validation: tuple[Images, np.ndarray, np.ndarray],
        share: Share | None = None,
        shifts: list[torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        # of few validation patches some ranks score none; Lightning sets its own False in every instance
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.share = share or Share()
        self.network, self.section, self.phases = network, section, phases
        self.address, self.seed, self.workers, self.validation = address, seed, workers, validation
        self._held = frozenset(name for name, p in network.named_parameters() if not p.requires_grad)
        self._frozen = [self._held | frozen_names(network, phase.frozen_stages, address) for phase in phases]
        self.ema = ModelEmaV3(network, decay=section.ema_decay, use_warmup=True, warmup_power=0.75)
        self.ema.requires_grad_(False)
        for name, values in zip(("mean", "std"), normalisation, strict=True):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        self.shifts = shifts
        self.history: list[dict[str, float]] = []
        self.losses: list[float] = []  # of the present stretch
        self.validated: np.ndarray | None = None  # (V, C) log-probabilities of the newest validation
        self._judge: Callable[[torch.Tensor], torch.Tensor] | None = None  # no module: it is part of no checkpoint
        self._scored: list[tuple[torch.Tensor, torch.Tensor]] = []

    # --- batches -------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches from the present step to the next validation: made anew for each stretch."""
        start = self.global_step
        steps = self.phase.items(start, self.next_stop(start), self.share)
        return loader(self.phase.patches, steps, self.workers, seed_of(self.seed, "loader", start))

    @property
    def phase(self) -> Phase:
        """Of the present step."""
        return phase_at(self.phases, self.global_step)

    @property
    def shift(self) -> torch.Tensor | None:
        """What the weights as they are owe to the shares of the classes in what they were taught last."""
        taught = phase_at(self.phases, max(self.global_step - 1, 0))
        return None if self.shifts is None else self.shifts[self.phases.index(taught)]

    def next_stop(self, step: int) -> int:
        """The step of the next validation after `step`: multiples of `evaluate_every`, and the end of each phase."""
        every = self.section.evaluate_every
        return min((step // every + 1) * every, phase_at(self.phases, step).stop)

    def val_dataloader(self) -> Any:
        """This rank's batches of validation patches; nothing where there is no validation split."""
        images, ids, _ = self.validation
        if len(ids) == 0:
            return []
        patches = PlainPatches(images, images.store.rows(ids))
        batches = in_batches(len(ids), 4 * self.section.batch_size)
        # slices of a network are put together by all ranks at once, so then they all score the same patches
        own = batches if is_sharded(self.network) else batches[self.share.rank :: self.share.world]
        return loader(patches, own, self.workers, seed=0)

    @property
    def sizes(self) -> str:
        """Of what a step holds in memory, in words."""
        kind, count = self.validation[0].kind, sum(self.phase.counts)
        return f"{self.section.backbone} and steps of {count:,} patches of {kind.size_px} px ({kind.shown})"

    # --- training ------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Set up what the present phase has otherwise; a function of the step alone, so a resume does the same."""
        phase = self.phase
        freeze(self.network, self._frozen[self.phases.index(phase)])
        self.network.train()
        rest_frozen_norms(self.network, self.section.frozen_norms)
        for network in (self.network, self.ema.module):
            feed_at(network, phase.size_px)
        if phase.start and self.global_step == phase.start:
            # moments gathered on other patches at another rate would steer the first steps
            self.trainer.optimizers[0].state.clear()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """With --noise-on device, training patches are disturbed only now."""
        return batch.disturbed() if isinstance(batch, Batch) else batch

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout and stochastic depth draw from a seed of this step, so a resume draws the same."""
        seed = seed_of(self.seed, "step", self.global_step)
        # torch.manual_seed writes down, at every call, who called it
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The loss of one step. Raises ChainError (3) the moment it is not finite."""
        try:
            with self._as_in_the_whole(batch_idx):
                logits = self.network(normalise(batch.image, self._buffer("mean"), self._buffer("std")))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # batch_norm's own words
                raise
            raise self._single(len(batch.image)) from error
        each = -(batch.target * logits.float().log_softmax(1)).sum(1)
        if batch.negative is not None:
            each = each + negative_loss(logits.float(), batch.negative)
        each = each * batch.weight
        counts = self.phase.counts
        loss: torch.Tensor = each.mean()
        if self.share.parts > 1:
            # the same as below, in one sum: a mean of the parts' means would count the patches of small parts more
            loss = self.share.parts / counts[0] * each.sum()
        elif len(counts) > 1:
            loss = each[batch.labelled].mean() + counts[1] / counts[0] * each[~batch.labelled].mean()
        fault.point("train.step")
        if fault.poisoned("train.loss"):
            loss = loss * math.nan
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged(f"the loss became {value}", batch)
        self._batch = batch
        self.losses.append(value)
        if (self.global_step + 1) % LOG_EVERY == 0:
            self.log_dict({"loss": value, "lr": self._lr()})
        return loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Raises ChainError (3) before a gradient that is not finite reaches the weights and a checkpoint."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if fault.poisoned("train.gradient"):
            gradients[0].fill_(math.nan)
        self._norm = torch.nn.utils.get_total_norm(gradients)
        if not math.isfinite(float(self._norm)):
            raise self._diverged(f"the gradient became {float(self._norm)}", self._batch)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """By the norm that was just looked at. A gradient that is short enough is not multiplied by 1."""
        # of slices every rank knows its own norm alone, and all of them have to do the same
        longest = gradient_clip_val
        if longest and (is_sharded(self.network) or float(self._norm) + 1e-6 > longest):
            torch.nn.utils.clip_grads_with_norm_(self.network.parameters(), longest, self._norm)

    def _single(self, patches: int) -> ChainError:
        parts = f" in each of {self.share.parts} pieces" if self.share.parts > 1 else ""
        return ChainError(
            f"{self.address}: batch normalisation has nothing to take statistics of",
            f"a step has {patches} patch{parts}, and of {self.validation[0].kind.size_px} px {self.section.backbone} "
            "sees a single place in the end",
            "raise batch_size, lower --accumulate, set frozen_norms: true (with weights from init), or enlarge patches",
            ExitCode.MISMATCH,
        )

    def _diverged(self, what: str, batch: Batch) -> ChainError:
        ids = [id_text(int(i)) for i in batch.patch_id.cpu().numpy().view(np.uint64)]
        LOG.debug(f"{self.address}: the patches of step {self.global_step}: {', '.join(ids)}")
        return ChainError(
            f"{self.address}: {what} at step {self.global_step}",
            f"learning rate {self._lr():.3g}, patches {', '.join(ids[:3])}, ... (all of them are in the log)",
            "lower lr or set clip_norm; the last checkpoint and all finished stages are untouched",
            ExitCode.DIVERGED,
        )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Averaged weights follow every step; early in a phase they follow closely (decay warm-up)."""
        if not self.stepped(batch_idx):
            return
        phase = phase_at(self.phases, self.global_step - 1)  # of the step that was just made
        self.ema.update(self.network, step=self.global_step - phase.start)

    @property
    def frozen_later(self) -> bool:
        """Whether a phase freezes more than is frozen from the start."""
        return any(frozen != self._held for frozen in self._frozen)

    def stepped(self, batch_idx: int) -> bool:
        """Whether the optimiser made its step after this batch: with --accumulate it waits for the last piece."""
        return (batch_idx + 1) % self.share.accumulate == 0

    def _as_in_the_whole(self, batch_idx: int) -> contextlib.AbstractContextManager[Any]:
        if self.share.parts == 1:
            return contextlib.nullcontext()
        total = sum(self.phase.counts)
        places = self.share.places(total, batch_idx % self.share.accumulate)
        return WholeBatch(places, total, self.share.world)

    def configure_optimizers(self) -> Any:
        """AdamW without decay on biases and norms; in each phase linear warm-up, then half a cosine to zero."""
        section = self.section
        key = f"{self.address}: lr_decay"
        groups = parameter_groups(self.network, section.weight_decay, section.lr, section.lr_decay, key)
        optimizer = torch.optim.AdamW(groups, lr=section.lr, fused=True)  # on a CPU in a third of the time, too
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._rate(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        phase = phase_at(self.phases, step)
        share = learning_rate(step - phase.start, phase.stop - phase.start, self.section.warmup)
        return phase.lr / self.section.lr * share

    # --- validation ----------------------------------------------------------------------------------

    def on_validation_start(self) -> None:
        """The averaged weights judge, put as labelling puts them."""
        averaged, mean, std = self.ema.module.eval(), self._buffer("mean"), self._buffer("std")
        judge = averaged if is_sharded(self.network) else folded(averaged)
        self._judge = lambda image: log_probs(judge, normalise(image, mean, std), 1)

    def on_validation_end(self) -> None:
        """No second network stands in memory beside the next steps."""
        self._judge = None

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> None:
        """Score with the averaged weights, as labelling will."""
        assert self._judge is not None
        scores = torch.cat([self._judge(one) for one in pieces(batch[0])]).cpu()
        if self.shift is not None:
            scores = (scores - self.shift).log_softmax(1)
        self._scored.append((batch[1].cpu(), scores))
        heartbeat.tick()

    def on_train_epoch_end(self) -> None:
        """One line of history for each stretch between validations."""
        if not self.losses or self.next_stop(self.global_step - 1) != self.global_step:
            return  # resumed from a checkpoint: Lightning ends what came before it once more
        loss = float(summed(torch.tensor(float(np.mean(self.losses)), dtype=torch.float64))) / self.share.world
        entry: dict[str, float] = {"step": self.global_step, "loss": loss, "lr": self._lr()}
        if (scores := self._scores()) is not None:
            classes = [str(k) for k in range(scores.shape[1])]
            self.validated = scores
            found = quality.evaluate(scores, self.validation[2], classes)
            entry |= {f"validation_{key}": found[key] for key in ("accuracy", "balanced_accuracy", "nll")}
            self.log_dict({key: value for key, value in entry.items() if key.startswith("validation_")})
        self.history.append(entry)
        self.losses, self._scored = [], []

    def _scores(self) -> np.ndarray | None:
        """What all ranks scored, (V, K) float32; None where this stretch had no validation."""
        count, classes = len(self.validation[1]), self.phases[0].patches.streams[0].target.shape[1]
        own, seen = torch.zeros(count, classes), torch.zeros(count)
        for index, scores in self._scored:
            own[index], seen[index] = scores, 1
        if not is_sharded(self.network):
            own, seen = summed(own), summed(seen)
        if count == 0 or not bool(seen.any()):
            return None
        assert bool((seen == 1).all()), "a validation patch was scored twice or not at all"
        return own.numpy()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The history is part of what the stage publishes, so it travels with the checkpoint; so do last scores."""
        checkpoint["history"] = self.history
        if self.validated is not None and self.global_step == self.section.total_steps:
            checkpoint["validated"] = torch.from_numpy(self.validated)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up again, and what a finished training said of validation."""
        self.history = list(checkpoint["history"])
        if "validated" in checkpoint:
            self.validated = checkpoint["validated"].numpy()

    def finished(self) -> torch.nn.Module:
        """The averaged weights, in eval mode, fed at the size of the last phase; `shift` is still to be taken off."""
        model: torch.nn.Module = self.ema.module.eval()
        feed_at(model, self.phases[-1].size_px)
        return model

    def _lr(self) -> float:
        return max(float(group["lr"]) for group in self.trainer.optimizers[0].param_groups)

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
