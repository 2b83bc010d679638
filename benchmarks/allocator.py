"""What it is worth that a training keeps the memory it frees: steps a second with and without, in turn.

    python -m benchmarks.allocator [--pairs 5]

Each side is a process of its own, since the allocator is set for good: a plain loop of forward and backward passes of
tf_efficientnet_lite0 on 64 patches of 96 px, one thread. Prints the median of either side and of the ratios.
"""

import argparse
import statistics
import subprocess
import sys
import time

STEPS = 6


def main() -> None:
    """Both sides in turn, so that a busy machine is busy for both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--side", choices=["plain", "kept"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(_steps_a_second(args.side == "kept"))
        return
    pairs = [(_side("plain"), _side("kept")) for _ in range(args.pairs)]
    plain, kept = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratios = [after / before for before, after in pairs]
    print(
        f"given back {plain:.2f} steps/s, kept {kept:.2f} steps/s; ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}, {args.pairs} pairs)"
    )


def _side(name: str) -> float:
    command = [sys.executable, "-m", "benchmarks.allocator", "--side", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _steps_a_second(kept: bool) -> float:
    import timm
    import torch

    from stages.allocator import keep_freed_memory

    if kept:
        assert keep_freed_memory(), "this C library is not glibc"
    torch.set_num_threads(1)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=5).to(memory_format=torch.channels_last)
    image = torch.randn(64, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    network(image).sum().backward()
    begun = time.perf_counter()
    for _ in range(STEPS):
        network.zero_grad()
        network(image).sum().backward()
    return STEPS / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
