"""What torch.compile gives, what it costs to begin, and what folding normalisations gives a labelling.

    OMP_NUM_THREADS=1 taskset -c 1 python -m benchmarks.compiled --threads 1
    python -m benchmarks.compiled --backbones resnet50 --size-px 224 --batch-size 256 --device cuda --precision bf16

One batch on the device, channels last: a training's forward, backward and step, and a labelling's forward. As written,
folded (`stages.predict.folding`: what the chain scores with; labelling alone) and compiled (a labelling's after
folding) take turns. Printed are patches/s, the median of --repeats with its quartiles, the ratio to what the chain does
today, the seconds of the first compiled step beyond a later one, and after how many patches these are earned.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")  # a chain's first compilation is what is asked for

import torch

from benchmarks.throughput import CLASSES, spread
from data.pixels.network_input import NetworkInput
from stages.job import Hardware
from stages.networks.create import first_network
from stages.predict.folding import folded
from stages.process.device import prepare
from stages.train.config import TeacherConfig
from stages.train.optimizer import parameter_groups

Step = Callable[[], None]


def steps(args: argparse.Namespace, backbone: str, work: str) -> dict[str, Step]:
    """Name -> one step, in this order: as written, folded (a labelling), compiled. The last but one is the chain's."""
    section = TeacherConfig(backbone=backbone)
    kind = NetworkInput("rgb8", args.size_px)
    network = first_network(section, CLASSES, kind, work).to(args.device)
    image = torch.randn(args.batch_size, 3, args.size_px, args.size_px, device=args.device)
    image = image.contiguous(memory_format=torch.channels_last)
    cast = torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16")

    def labels(of: Callable[[torch.Tensor], torch.Tensor]) -> Step:
        def step() -> None:
            with torch.inference_mode(), cast:
                of(image).float().cpu()

        return step

    if work == "labelling":
        lighter = folded(network.eval())
        return {"written": labels(network), "folded": labels(lighter), "compiled": labels(torch.compile(lighter))}

    target = torch.full((args.batch_size, CLASSES), 1 / CLASSES, device=args.device)
    groups = parameter_groups(network, section.weight_decay, section.lr, section.lr_decay, "lr_decay")
    optimizer = torch.optim.AdamW(groups, lr=section.lr)
    network.train()

    def trains(of: Callable[[torch.Tensor], torch.Tensor]) -> Step:
        def step() -> None:
            with cast:
                loss = -(target * of(image).float().log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # a GPU is waited for

        return step

    return {"written": trains(network), "compiled": trains(torch.compile(network))}


def row(args: argparse.Namespace, backbone: str, work: str) -> str:
    """Of the table."""
    turns = steps(args, backbone, work)
    first = {name: seconds(step) for name, step in turns.items()}
    each: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(args.repeats):
        for name, step in turns.items():
            each[name].append(args.batch_size / seconds(step))
    middle = {name: statistics.median(rates) for name, rates in each.items()}
    now = list(turns)[-2]
    begins = first["compiled"] - args.batch_size / middle["compiled"]
    saved = 1 / middle[now] - 1 / middle["compiled"]
    cells = [
        work,
        backbone,
        *(spread(each[name]) if name in each else "" for name in ("written", "folded", "compiled")),
    ]
    cells += [f"{middle[now] / middle['written']:.2f}", f"{middle['compiled'] / middle[now]:.2f}", f"{begins:.0f}"]
    return "| " + " | ".join([*cells, f"{begins / saved:,.0f}" if saved > 0 else "never"]) + " |"


def seconds(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["tf_efficientnet_lite0", "resnet10t"])
    parser.add_argument("--work", nargs="+", choices=("student", "labelling"), default=["student", "labelling"])
    parser.add_argument("--size-px", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Print the table."""
    args = parsed(words)
    prepare(Hardware(device=args.device, precision=args.precision, threads=args.threads))
    names = ["work", "backbone", "as written, patches/s", "folded", "compiled"]
    names += ["folding", "compiling", "to begin, s", "earned after"]
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for backbone in args.backbones:
        for work in args.work:
            print(row(args, backbone, work), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
