"""Score patches with a finished network: eval mode, no noise, the same code for pool, validation and test."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from data import fault
from data.images import Images
from data.keys import seed_of
from stages.job import Hardware
from stages.loading import PlainPatches, in_batches, loader
from stages.predict.embedding import Tap
from stages.predict.mc_dropout import deviation
from stages.predict.style import styled
from stages.process import heartbeat, signals
from stages.process.device import loader_workers, prepare
from stages.process.memory import sizes_named

Sink = Callable[[np.ndarray, dict[str, np.ndarray]], None]
# of images that go through a network at once on a CPU: of more its maps leave the caches, and it waits for memory
VALUES = 3 << 19  # 64 patches of 96 px in colour; a single channel makes maps as large as three
EVEN = 16  # patches: of other numbers the last few are computed another way, with other rounding


@dataclass(frozen=True)
class Asked:
    """What is asked of a network for every patch.

    views: averaged; mc_passes: with dropout, 0 for none, draws keyed by seed; earlier: other states of the same
    network, each asked with the same views; embeddings: what the classifier reads, style: what the patch is made of,
    so many values a patch, 0: not asked for. Style is of one view.
    """

    views: int
    mc_passes: int = 0
    seed: int = 0
    earlier: tuple[torch.nn.Module, ...] = ()
    embeddings: int = 0
    style: int = 0

    def columns(self, classes: int) -> dict[str, tuple[int, ...]]:
        """Name -> shape a patch of what a sink is given."""
        shapes: dict[str, tuple[int, ...]] = {"log_probs": (classes,)}
        shapes |= {"deviation": (classes,)} if self.mc_passes else {}
        shapes |= {"embeddings": (self.embeddings,)} if self.embeddings else {}
        shapes |= {"style": (self.style,)} if self.style else {}
        return shapes | ({"opinions": (len(self.earlier), classes)} if self.earlier else {})


def normalise(image: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """uint8 or [0, 1] images (B, C, H, W) to the network's input, float32; mean, std: (C, 1, 1) in [0, 1]."""
    # in place where the floats are ours alone: for a small network on a CPU a copy of the batch can be seen
    centred = image.float().div_(255.0).sub_(mean) if image.dtype == torch.uint8 else image.sub(mean)
    return centred.div_(std).contiguous(memory_format=torch.channels_last)


def pieces(image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A batch (B, C, H, W) as it goes through a network that only scores: whole on a device, in parts on a CPU.

    Of so many each whatever the threads are, so that these do not decide about rounding.
    """
    if image.device.type != "cpu" or not len(image):
        return (image,)
    _, channels, height, width = image.shape
    each = max(3, channels) * height * width
    return torch.split(image, EVEN * max(1, round(VALUES / each / EVEN)))


def view(image: torch.Tensor, number: int) -> torch.Tensor:
    """One of the eight symmetries of a square patch; 0 is the patch itself. image: (B, C, H, W)."""
    # no turn at all would still be a copy, and channels first
    turned = torch.rot90(image, number % 4, (2, 3)) if number % 4 else image
    return turned.flip(3) if number >= 4 else turned


# how many views -> which symmetries: mirror first, since two quarter turns alone would miss it
VIEWS = {1: (0,), 2: (0, 4), 4: (0, 2, 4, 6), 8: tuple(range(8))}


def log_probs(network: torch.nn.Module, image: torch.Tensor, views: int) -> torch.Tensor:
    """Log of the probabilities averaged over `views`. image: normalised (B, C, H, W); returns (B, K) float32."""
    each = [network(view(image, number)).float().log_softmax(1) for number in VIEWS[views]]
    return torch.stack(each).logsumexp(0) - float(np.log(len(each)))


class _Scorer(pl.LightningModule):
    def __init__(self, network: torch.nn.Module, mean: list[float], std: list[float], asked: Asked) -> None:
        super().__init__()
        self.network, self.asked = network.eval(), asked
        self.tap = Tap(self.network) if asked.embeddings else None
        self.earlier = torch.nn.ModuleList(asked.earlier).eval()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def predict_step(
        self, batch: tuple[torch.Tensor, torch.Tensor], *_: Any
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        fault.point("predict.batch")
        image, index = batch
        parts = [self._found(piece) for piece in pieces(image)]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        heartbeat.tick()
        if self.asked.mc_passes:
            # keyed by the first patch: which patches share a batch does not depend on where a labelling began
            seed = seed_of(self.asked.seed, "batch", int(index[0]))
            found["deviation"] = deviation(self.network, self._normalised(image), self.asked.mc_passes, seed)
            if self.tap is not None:
                self.tap.forget()  # passes with dropout are no views
        return found, index

    def _found(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        image, found = self._normalised(image), {}
        if self.asked.style:
            logits, found["style"] = styled(self.network, image)
            found["log_probs"] = logits.float().log_softmax(1)
        else:
            found["log_probs"] = log_probs(self.network, image, self.asked.views)
        if self.tap is not None:
            found["embeddings"] = self.tap.take()
        if self.earlier:
            found["opinions"] = torch.stack([log_probs(one, image, self.asked.views) for one in self.earlier], 1)
        return found

    def _normalised(self, image: torch.Tensor) -> torch.Tensor:
        return normalise(image, self.get_buffer("mean"), self.get_buffer("std"))


class _ToSink(pl.Callback):
    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signals.take_back()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        found, index = outputs
        self.sink(index.cpu().numpy(), {name: values.float().cpu().numpy() for name, values in found.items()})


def score(
    network: torch.nn.Module,
    mean: list[float],
    std: list[float],
    images: Images,
    rows: np.ndarray,
    sink: Sink,
    *,
    asked: Asked,
    batches: list[range],
    hardware: Hardware,
    name: str = "scoring",
    sink_asks: bool = False,
) -> None:
    """Give `sink(index (B,), {name: (B, ...) float32})` for each of `batches`, in order; they index into `rows`.

    Names and shapes are those of `asked.columns`. name: for people; sink_asks: the sink looks for signals by itself.
    Raises ChainError (71) when memory does not suffice.
    """
    if not batches:
        return
    dataset = PlainPatches(images, rows)
    trainer = pl.Trainer(**prepare(hardware), logger=False, enable_checkpointing=False, callbacks=[_ToSink(sink)])
    scorer = _Scorer(network, mean, std, asked)
    sizes = f"batches of {max(map(len, batches)):,} patches of {images.kind.size_px} px ({images.kind.shown})"
    with (
        sizes_named(name, sizes, "set predict.batch_size lower"),
        signals.between_batches() if sink_asks else contextlib.nullcontext(),
    ):
        trainer.predict(scorer, loader(dataset, batches, loader_workers(hardware), seed=0), return_predictions=False)


def score_all(
    network: torch.nn.Module,
    mean: list[float],
    std: list[float],
    images: Images,
    ids: np.ndarray,
    *,
    views: int,
    batch_size: int,
    hardware: Hardware,
) -> np.ndarray:
    """Log-probabilities (N, K) float32 of the patches `ids`, in their order, in memory."""
    parts: list[np.ndarray] = []
    score(
        network,
        mean,
        std,
        images,
        images.store.rows(ids),
        lambda _, found: parts.append(found["log_probs"]),
        asked=Asked(views),
        batches=in_batches(len(ids), batch_size),
        hardware=hardware,
    )
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
