"""What a training step of two ranks costs more than the same step of one, and for what.

    python -m benchmarks.exchange [--backbone resnet10t] [--size-px 32] [--batch-size 64] [--steps 10] [--repeats 5]

Two processes on one thread each meet by gloo, as two ranks do without a GPU. Both make a step as a training does:
forward, loss, backward, AdamW and averaged weights, over images in memory. First one makes it of the whole batch while
the other waits; then each of its half, more and more as ranks do it: each for itself, with gradients averaged (DDP),
and with batch normalisation by the statistics of the whole batch. Printed are milliseconds of the processor a step,
both processes together, medians of --repeats turns with quartiles, and what each way costs more than the one before.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import timm
import torch
import torch.distributed as dist
from timm.utils.model_ema import ModelEmaV3
from torch.multiprocessing.spawn import spawn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from stages.train.share import Share
from stages.train.whole_batch import WholeBatch

RANKS, CLASSES, WARM = 2, 4, 2
ONE, APART, GRADIENTS, STATISTICS = WAYS = (
    "one rank, the whole batch",
    "two ranks, half of it each, each for itself",
    "and gradients are averaged",
    "and batch statistics are those of the whole",
)


def step_of(way: str, args: argparse.Namespace) -> Callable[[], None]:
    """One step of this process, made in that way."""
    torch.manual_seed(0)
    network = timm.create_model(args.backbone, num_classes=CLASSES).to(memory_format=torch.channels_last)
    average, optimizer = ModelEmaV3(network), torch.optim.AdamW(network.parameters())
    model = DistributedDataParallel(network) if way in (GRADIENTS, STATISTICS) else network
    image, label = torch.randn(args.batch_size, 3, args.size_px, args.size_px), torch.arange(args.batch_size) % CLASSES
    places = range(args.batch_size) if way == ONE else Share(dist.get_rank(), RANKS).places(args.batch_size, 0)
    own, target = image[list(places)].contiguous(memory_format=torch.channels_last), label[list(places)]

    def step() -> None:
        optimizer.zero_grad()
        with WholeBatch(places, args.batch_size, RANKS) if way == STATISTICS else nullcontext():
            loss = cross_entropy(model(own), target)
        loss.backward()
        optimizer.step()
        average.update(network)

    return step


def milliseconds(way: str, step: Callable[[], None], steps: int) -> float:
    """Of the processor a step, all ranks that make it together."""
    spent = torch.zeros(1, dtype=torch.float64)
    if way != ONE or dist.get_rank() == 0:
        for _ in range(WARM):
            step()
        began = time.process_time()
        for _ in range(steps):
            step()
        spent += (time.process_time() - began) / steps * 1e3
    dist.all_reduce(spent)  # and whoever has nothing to do waits here
    return float(spent)


def measure(rank: int, meet: str, args: argparse.Namespace) -> None:
    """What each rank does; the first one prints."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=RANKS)
    steps = {way: step_of(way, args) for way in WAYS}
    turns = [{way: milliseconds(way, step, args.steps) for way, step in steps.items()} for _ in range(args.repeats)]
    dist.destroy_process_group()
    if rank:
        return
    print("| a step | ms of the processor | more |\n|---|---|---|")
    before = None
    for way in WAYS:
        low, middle, high = statistics.quantiles([turn[way] for turn in turns], n=4, method="inclusive")
        more = "" if before is None else f"{middle - before:+.0f}"
        print(f"| {way} | {middle:.0f} ({low:.0f}-{high:.0f}) | {more} |")
        before = middle


def main() -> None:
    """Start both ranks and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet10t")
    parser.add_argument("--size-px", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spawn(measure, (f"file://{Path(folder).resolve()}/meet", args), RANKS)


if __name__ == "__main__":
    main()
