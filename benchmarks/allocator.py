"""What it is worth that trainings and labellings keep the memory they free: patches a second, with and without.

    python -m benchmarks.allocator [--pairs 5]

Each side is a process of its own, since the allocator is set for good: forward and backward passes of
tf_efficientnet_lite0 on 64 patches of 96 px, or forward passes on 256, one thread. Prints the median of either side and
of the ratios.
"""

import argparse
import statistics
import subprocess
import sys
import time

STEPS = 6
PATCHES = {"training": 64, "labelling": 256}


def main() -> None:
    """Both sides in turn, so that a busy machine is busy for both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(_patches_a_second(args.side[0] == "kept", args.side[1]))
        return
    for work in PATCHES:
        pairs = [(_side("plain", work), _side("kept", work)) for _ in range(args.pairs)]
        plain, kept = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratios = [after / before for before, after in pairs]
        print(
            f"{work}: given back {plain:.0f} patches/s, kept {kept:.0f} patches/s; ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}, {args.pairs} pairs)"
        )


def _side(name: str, work: str) -> float:
    command = [sys.executable, "-m", "benchmarks.allocator", "--side", name, work]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _patches_a_second(kept: bool, work: str) -> float:
    import timm
    import torch

    from stages.process.allocator import keep_freed_memory

    if kept:
        assert keep_freed_memory(), "this C library is not glibc"
    torch.set_num_threads(1)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=5).to(memory_format=torch.channels_last)
    image = torch.randn(PATCHES[work], 3, 96, 96).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        if work == "training":
            network.zero_grad()
            network(image).sum().backward()
        else:
            with torch.inference_mode():
                network.eval()(image)

    step()
    begun = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * PATCHES[work] / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
