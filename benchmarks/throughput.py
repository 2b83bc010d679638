"""Training and labelling as a chain does them, beside the bare model: the same network on tensors already in memory.

    python -m benchmarks.throughput --threads 2
    python -m benchmarks.throughput --threads 2 1 --workers 0 1 --work student
    python -m benchmarks.throughput --backbones resnet50 --size-px 224 --batch-size 256 --device cuda --precision bf16
    python -m benchmarks.throughput --threads 1 --profile
    python -m benchmarks.throughput --threads 2 --work student --operations
    python -m benchmarks.throughput --threads 2 --work student --batches [--size-px 224]
    python -m benchmarks.throughput --threads 2 --work student --plain

Ours is the code of the stages over a real store of JPEG patches: `student` with strong and `teacher` with weak noise,
batches drawn, decoded and disturbed, averaged weights, checks, curves and progress, and of a checkpoint the share that
falls on these steps where one is made every 100; validation, which is other work, is left out. `labelling` folds
normalisations, scores and writes shards. Bare is the network as written, the same loss and optimiser, on one batch that
lies ready. They take turns in one process; printed are patches/s of both, the median of --repeats with its quartiles,
the ratio of the medians, and the same ratio in seconds of the processor, which says more on a machine that does other
things as well (loader processes are not in it). --plain: a third side, bare in a process of its own, whose freed memory
glibc gives back as it always does, where the two others keep it (stages/process/allocator.py). --profile: where the
time of a training's step goes, by Lightning's clock. --operations: what of PyTorch's takes longer in ours than in
bare, by PyTorch's profiler, each way --repeats times in turns; time that an operation spends in others is theirs.
--batches: how long a training's batch takes to make while nothing computes, read by one thread and by as many as torch
has.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import numpy as np
import torch
from pytorch_lightning.profilers import SimpleProfiler

from benchmarks.store import drawn_store
from data.images import Images
from stages.job import Hardware
from stages.loading import in_batches
from stages.networks.create import first_network
from stages.predict.folding import folded
from stages.predict.scoring import Asked, score
from stages.predict.shards import Shards
from stages.process.device import loader_workers, prepare
from stages.process.progress import StageProgress
from stages.train import batches
from stages.train.batches import Batch, Examples
from stages.train.config import StudentConfig, TeacherConfig, TrainConfig
from stages.train.fitting import Desk, fit
from stages.train.module import Training
from stages.train.optimizer import parameter_groups
from stages.train.phases import Phase, phases_of

WORKS = ("student", "teacher", "labelling")
CLASSES, RATIO, WARM = 5, 3, 1  # RATIO: pseudo-labelled patches for each labelled one; WARM: steps that do not count
STATS = ([0.5] * 3, [0.2] * 3)


@dataclass(frozen=True)
class Setting:
    """One comparison. batch_size: patches a step, given and pseudo-labelled together."""

    work: str
    backbone: str
    batch_size: int
    steps: int
    hardware: Hardware

    @property
    def section(self) -> TrainConfig:
        """A training of so many steps, and a few before the clock starts; its only checkpoint is at its end."""
        keys = {"backbone": self.backbone, "steps": self.steps + WARM, "evaluate_every": self.steps + WARM}
        if self.work == "teacher":
            return TeacherConfig.model_validate(keys | {"batch_size": self.batch_size})
        assert self.batch_size % (1 + RATIO) == 0, f"--batch-size: a multiple of {1 + RATIO}"
        return StudentConfig.model_validate(keys | {"batch_size": self.batch_size // (1 + RATIO)})

    @property
    def cuda(self) -> bool:
        return self.hardware.device == "cuda"


class Spent(NamedTuple):
    """Of the steps that count, by the clock and of this process's processor time."""

    clock_s: float
    processor_s: float


@dataclass
class Stopwatch:
    """Started after WARM steps, stopped by the last of `steps` more; what comes after them counts by its share."""

    steps: int
    cuda: bool
    calls: int = 0
    marks: list[Spent] = field(default_factory=list)

    def step(self) -> None:
        self.calls += 1
        if self.calls in (WARM, WARM + self.steps):
            self.mark()

    def mark(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()
        self.marks.append(Spent(time.perf_counter(), time.process_time()))

    def spent(self, share: float = 0.0) -> Spent:
        """Of the steps, and a share of what came between them and a last `mark`."""
        began, ended, *after = self.marks
        last = after[-1] if after else ended
        return Spent(*(b - a + share * (c - b) for a, b, c in zip(began, ended, last, strict=True)))


class Clocked(Training):
    """The chain's own training, whose steps are counted."""

    watch: Stopwatch

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        super().on_train_batch_end(outputs, batch, batch_idx)
        self.watch.step()


def examples(images: Images, rows: np.ndarray, given: bool) -> Examples:
    target = np.full((len(rows), CLASSES), 1 / CLASSES, np.float32)
    return Examples(images.store.ids[rows], target, np.ones(len(rows), np.float32), given=given)


def drawn_phases(setting: Setting, images: Images) -> list[Phase]:
    """The one phase of a training over a store of which a part is labelled."""
    section, rows = setting.section, np.arange(len(images.store))
    few = len(rows) // (1 + RATIO)
    pseudo = examples(images, rows[few:], given=False) if isinstance(section, StudentConfig) else None
    on_device = setting.hardware.noise_on == "device"
    return phases_of(section, images, examples(images, rows[:few], given=True), pseudo, 0, on_device)


def training(setting: Setting, images: Images, folder: Path, profiler: SimpleProfiler | None = None) -> Spent:
    """What `stages.train.member` does between reading its inputs and publishing."""
    section = setting.section
    flags = prepare(setting.hardware) | ({"profiler": profiler} if profiler else {})
    network = first_network(section, CLASSES, images.kind, setting.work)
    phases = drawn_phases(setting, images)
    nothing = (images, np.empty(0, np.uint64), np.empty(0, np.int64))  # to validate on
    module = Clocked(network, section, phases, STATS, setting.work, 0, loader_workers(setting.hardware), nothing)
    module.watch = Stopwatch(setting.steps, setting.cuda)
    fit(Desk(setting.work, folder / "work", folder / "log"), module, flags, section)
    module.watch.mark()
    return module.watch.spent(setting.steps / TrainConfig().evaluate_every)


def labelling(setting: Setting, images: Images, folder: Path) -> Spent:
    """What the stage `predict` does between reading its inputs and merging its shards."""
    network = folded(first_network(setting.section, CLASSES, images.kind, setting.work).eval())
    count = setting.batch_size * (setting.steps + WARM)
    rows = np.arange(count) % len(images.store)
    asked, watch = Asked(views=1), Stopwatch(setting.steps, setting.cuda)
    shards = Shards(folder / "shards", images.store.ids[rows], asked.columns(CLASSES), setting.batch_size, 16)
    with StageProgress(setting.work, count, "patches", folder) as bar:

        def keep(index: np.ndarray, found: dict[str, np.ndarray]) -> None:
            shards.add(index, found)
            bar.advance(len(index))
            watch.step()

        score(
            network, *STATS, images, rows, keep,
            asked=asked, batches=in_batches(count, setting.batch_size), hardware=setting.hardware,
        )  # fmt: skip
    return watch.spent()


def bare(setting: Setting, images: Images) -> Spent:
    """Forward, backward, step; or the forward pass alone. One batch, normalised, on the device."""
    prepare(setting.hardware)
    device = torch.device("cuda" if setting.cuda else "cpu")
    section, watch = setting.section, Stopwatch(setting.steps, setting.cuda)
    network = first_network(section, CLASSES, images.kind, setting.work).to(device)
    image = torch.randn(setting.batch_size, 3, images.kind.size_px, images.kind.size_px, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    target = torch.full((setting.batch_size, CLASSES), 1 / CLASSES, device=device)
    groups = parameter_groups(network, section.weight_decay, section.lr, section.lr_decay, "lr_decay")
    optimizer = torch.optim.AdamW(groups, lr=section.lr)
    learns = setting.work != "labelling"
    network.train(learns)
    cast = torch.autocast(device.type, torch.bfloat16, enabled=setting.hardware.precision == "bf16")
    for _ in range(WARM + setting.steps):
        with torch.inference_mode(not learns), cast:
            logits = network(image).float()
        if learns:
            loss = -(target * logits.log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        watch.step()
    return watch.spent()


def ours(setting: Setting, images: Images, profiler: SimpleProfiler | None = None) -> Spent:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("work", "log"):
            (Path(folder) / name).mkdir()
        if setting.work == "labelling":
            return labelling(setting, images, Path(folder))
        return training(setting, images, Path(folder), profiler)


def alone(setting: Setting, size_px: int) -> float:
    """Seconds of `bare` in a process of its own that leaves memory to glibc."""
    hardware = setting.hardware
    words = {"work": setting.work, "backbones": setting.backbone, "batch-size": setting.batch_size,
             "steps": setting.steps, "threads": hardware.threads, "device": hardware.device,
             "precision": hardware.precision, "size-px": size_px, "patches": 8}  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.throughput", "--alone"]
    command += [text for name, value in words.items() for text in (f"--{name}", str(value))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compared(setting: Setting, images: Images, repeats: int, plain_too: bool = False) -> str:
    """A row of the table."""
    pairs, by_itself = [], []
    for _ in range(repeats):
        pairs.append((ours(setting, images), bare(setting, images)))
        if plain_too:
            by_itself.append(alone(setting, images.kind.size_px))
    patches = setting.batch_size * setting.steps
    each = [[patches / spent.clock_s for spent in side] for side in zip(*pairs, strict=True)]
    processor = [statistics.median(spent.processor_s for spent in side) for side in zip(*pairs, strict=True)]
    mine, plain = (statistics.median(rates) for rates in each)
    cells = [setting.work, setting.backbone, f"{torch.get_num_threads()}+{loader_workers(setting.hardware)}"]
    cells += [spread(rates) for rates in each]
    cells += [f"{mine / plain:.2f}", f"{processor[1] / processor[0]:.2f}"]
    if by_itself:
        rates = [patches / seconds for seconds in by_itself]
        cells += [spread(rates), f"{mine / statistics.median(rates):.2f}"]
    return f"| {' | '.join(cells)} |"


def spread(rates: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(rates, n=4, method="inclusive")
    return f"{middle:,.0f} ({low:,.0f}-{high:,.0f})"


def profiled(setting: Setting, images: Images) -> None:
    """Print what a step spends where, by Lightning's own clock; some rows hold others."""
    profiler = SimpleProfiler()
    ours(setting, images, profiler)
    for name, times in sorted(profiler.recorded_durations.items(), key=lambda item: -sum(item[1])):
        each = sum(times) / (WARM + setting.steps) * 1000
        if each >= 0.05:
            print(f"{each:>10.2f} ms a step  {name}")


def print_operations(setting: Setting, images: Images, repeats: int) -> None:
    """Print milliseconds a step, both ways, of what differs by at least a quarter, and of all the rest together."""
    sides = {"bare": lambda: bare(setting, images), "chain": lambda: ours(setting, images)}
    taken: defaultdict[str, dict[str, list[float]]] = defaultdict(lambda: {name: [] for name in sides})
    for _ in range(repeats):
        for name, run in sides.items():
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
                run()
            for event in seen.key_averages():
                taken[event.key][name].append(event.self_cpu_time_total / 1000 / (WARM + setting.steps))
    each = {key: [statistics.median(times) if times else 0.0 for times in way.values()] for key, way in taken.items()}
    rest = [0.0, 0.0]
    print("| ms a step of the processor | bare | chain | more |\n|---|---|---|---|")
    for key, (plain, mine) in sorted(each.items(), key=lambda item: item[1][0] - item[1][1]):
        if abs(mine - plain) >= 0.25:
            print(f"| {key} | {plain:.1f} | {mine:.1f} | {mine - plain:+.1f} |")
        else:
            rest = [rest[0] + plain, rest[1] + mine]
    print(f"| everything else | {rest[0]:.1f} | {rest[1]:.1f} | {rest[1] - rest[0]:+.1f} |")


def print_batches(setting: Setting, images: Images, repeats: int) -> None:
    """Print milliseconds a batch by the clock, one thread and several in turns."""
    prepare(setting.hardware)
    (phase,) = drawn_phases(setting, images)
    ways = {"one thread": sys.maxsize, f"{torch.get_num_threads()} threads": 0}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, from_px in ways.items():
            with mock.patch.object(batches, "THREADED_PX", from_px):
                for items in phase.items(0, setting.steps):
                    began = time.perf_counter()
                    phase.patches[items]
                    taken[name].append((time.perf_counter() - began) * 1000)
    for name, each in taken.items():
        print(f"{setting.work}, {setting.batch_size} patches of {images.kind.size_px} px, {name}: {spread(each)} ms")


def settings(args: argparse.Namespace) -> list[Setting]:
    chosen = product(args.backbones, args.work, args.threads, args.workers)
    return [
        Setting(
            work,
            backbone,
            args.batch_size,
            args.steps,
            Hardware(args.device, args.precision, workers, threads, noise_on=args.noise_on),
        )
        for backbone, work, threads, workers in chosen
    ]


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["resnet10t", "tf_efficientnet_lite0"])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=["student", "labelling"])
    parser.add_argument("--size-px", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64, help="patches a step")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patches", type=int, default=2000, help="in the store")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["32", "bf16"], default="32")
    parser.add_argument("--noise-on", choices=["loader", "device"], default="loader")
    parser.add_argument("--threads", type=int, nargs="+", default=[0], help="of torch; several: one after the other")
    parser.add_argument("--workers", type=int, nargs="+", default=[0], help="loader processes; 0: as a chain chooses")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--operations", action="store_true")
    parser.add_argument("--batches", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main() -> None:
    """Measure and print."""
    args = parsed()
    with tempfile.TemporaryDirectory() as folder:
        images = Images(drawn_store(Path(folder) / "patches.h5", args.patches, args.size_px, jpeg=True))
        if args.alone:
            with mock.patch("stages.process.device.keep_freed_memory"):
                print(bare(settings(args)[0], images).clock_s)
            return
        table = not (args.profile or args.operations or args.batches)
        if table:
            columns = (
                "| work | backbone | threads+workers | chain, patches/s | bare, patches/s | ratio | of processor |"
            )
            columns += " plain, patches/s | ratio to plain |" if args.plain else ""
            print(f"{columns}\n{'|---' * (columns.count('|') - 1)}|")
        for setting in settings(args):
            if args.profile and setting.work != "labelling":
                print(f"{setting.work}, {setting.backbone}, {setting.batch_size} patches a step")
                profiled(setting, images)
            if args.operations:
                print(f"{setting.work}, {setting.backbone}, {setting.batch_size} patches a step")
                print_operations(setting, images, args.repeats)
            if args.batches and setting.work != "labelling":
                print_batches(setting, images, args.repeats)
            if table:
                print(compared(setting, images, args.repeats, args.plain), flush=True)


if __name__ == "__main__":
    main()
