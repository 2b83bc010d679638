"""The phases of a training: stretches of steps, each with its own patches, noise and rate. One step counter for all."""

from dataclasses import dataclass

import numpy as np
import torch

from data.errors import ChainError, ExitCode
from data.images import Images, drawer
from data.keys import seed_of
from stages.blocks import blocks
from stages.networks.init.groups import classifier_of, count_stages, stages_of
from stages.train.batches import Examples, Steps, TrainingPatches
from stages.train.config import Finetune, StudentConfig, TrainConfig
from stages.train.share import Share


@dataclass(frozen=True)
class Phase:
    """Steps [start, stop). counts: patches a step of each stream; clean: without noise, as configured.

    frozen_stages, size_px: see `Finetune`.
    """

    start: int
    stop: int
    lr: float
    patches: TrainingPatches
    counts: list[int]
    clean: bool = False
    size_px: int | None = None
    frozen_stages: int | None = None

    def class_shares(self) -> np.ndarray:
        """What share of the loss is about each class, on average over the steps: (C,) float64, sums to 1."""
        total = np.average([_mean_target(stream) for stream in self.patches.streams], axis=0, weights=self.counts)
        shares: np.ndarray = total / total.sum()
        return shares

    def items(self, start: int, stop: int, share: Share | None = None) -> Steps:
        """What steps [start, stop) of the training draw; both lie in this phase."""
        sizes = [len(stream.ids) for stream in self.patches.streams]
        return Steps(sizes, self.counts, self.patches.seed, start - self.start, stop - self.start, share)


def _mean_target(of: Examples) -> np.ndarray:
    # not by BLAS, whose sums depend on how many threads there are, and so would the weights
    parts = [(of.weight[rows, None] * of.target[rows]).sum(0, dtype=np.float64) for rows in blocks(len(of.ids))]
    mean: np.ndarray = np.sum(parts, axis=0) / len(of.ids)
    return mean


def phases_of(
    section: TrainConfig,
    images: Images,
    given: Examples,
    pseudo: Examples | None,
    seed: int,
    noise_on_device: bool = False,
) -> list[Phase]:
    """In the order of running. A teacher has one phase: given labels."""
    n, streams, counts = section.batch_size, [given], [section.batch_size]
    if pseudo is not None and isinstance(section, StudentConfig):
        joint = section.schedule == "joint"
        streams = [given, pseudo] if joint else [pseudo]
        counts = [n, max(1, round(n * section.unlabeled_ratio))] if joint else [n]
    patches = TrainingPatches(images, streams, drawer(section.noise, images.kind), seed, noise_on_device)
    clean, frozen = section.noise.is_none, section.frozen_stages
    first = Phase(0, section.steps, section.lr, patches, counts, clean, frozen_stages=frozen)
    last = section.finetune if isinstance(section, StudentConfig) else None
    if last is None:
        return [first]
    # a seed of its own: the same places of the same labels, but not the same draws as in the first phase
    noise, seed = drawer(last.noise, images.kind), seed_of(seed, "finetune")
    patches = TrainingPatches(images, [given], noise, seed, noise_on_device)
    about = (last.noise.is_none, last.size_px, last.frozen_stages)
    return [first, Phase(section.steps, section.total_steps, last.lr, patches, [n], *about)]


def phase_at(phases: list[Phase], step: int) -> Phase:
    """The phase that does `step`; the last one, at the end."""
    return next((phase for phase in phases if phase.start <= step < phase.stop), phases[-1])


def frozen_names(network: torch.nn.Module, stages: int | None, key: str) -> frozenset[str]:
    """Names of the parameters of the stem and of so many stages. Raises ChainError (78) where there are fewer."""
    if stages is None:
        return frozenset()
    of = stages_of(network, key)
    if stages > count_stages(of):
        raise ChainError(
            f"{key}: this backbone has {count_stages(of)} stages, not {stages}",
            "the stem and so many stages are to stay as they are",
            f"set it to at most {count_stages(of)}",
            ExitCode.MISMATCH,
        )
    head = classifier_of(network)
    return frozenset(name for name, _ in network.named_parameters() if of[name] <= stages and name not in head)


def refuse_unfit(network: torch.nn.Module, finetune: Finetune | None, size_px: int, key: str) -> None:
    """Raise ChainError (78) when the network cannot do this last phase. size_px: of the patches."""
    if finetune is None:
        return
    frozen_names(network, finetune.frozen_stages, f"{key}.frozen_stages")
    if finetune.size_px is None:
        return
    fixed = getattr(network, "pretrained_cfg", {}).get("fixed_input_size", False)
    if fixed or finetune.size_px < size_px:
        raise ChainError(
            f"{key}.size_px: {finetune.size_px} px does not go with patches of {size_px} px"
            + (" and this backbone" if fixed else ""),
            "it takes images of one size only" if fixed else "fine-tuning is at a larger size, never at a smaller one",
            "leave it out" + (", or choose a convolutional backbone" if fixed else f", or set it above {size_px}"),
            ExitCode.MISMATCH,
        )
