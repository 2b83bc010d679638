"""What it costs to begin: the commands that only look, and what a stage spends before its first step.

    python -m benchmarks.startup

Each figure is the median of seven fresh processes that take turns, by the clock and of the processor. Beside a command
stands the interpreter alone, and with the libraries imported that the command imported, by name: what is left is ours.
Below, a stage's fixed cost by part, training and labelling of tf_efficientnet_lite0 on patches of 96 px: its imports,
the network, the store with its first patch, the first batch. A chain pays for imports once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.tiny_chain import CONFIG

ROOT = Path(__file__).resolve().parent.parent
RUNS, BAR_S = 7, 0.3
# with the bytecode that Python keeps, as on any machine where that is not switched off
KEPT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
HARDWARE = ["--threads", "1", "--device", "cpu", "--quiet"]
# of a process that has done its work: the packages it took from the environment, outermost names alone
IMPORTED = """
import sys, sysconfig, run_chain
run_chain.main(sys.argv[1:])
where = (sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"], "site-packages")
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items() if "." not in name}
print("\\n" + " ".join(sorted(name for name, file in files.items() if any(part in file for part in where))))
"""


class Spent(NamedTuple):
    clock_s: float
    processor_s: float


def spent(words: list[str]) -> Spent:
    """Of one process, from its start to its end."""
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *words], cwd=ROOT, env=KEPT, capture_output=True, check=True)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(time.perf_counter() - began, processor)


def middle(each: list[Spent]) -> Spent:
    return Spent(*(statistics.median(values) for values in zip(*each, strict=True)))


def libraries(words: list[str]) -> list[str]:
    """What a command imports that is neither ours nor Python's."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words], cwd=ROOT, env=KEPT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.splitlines()[-1].split() if not name.startswith("_")]


def commands(root: Path) -> None:
    """Print the table of commands, about a run that is finished."""
    config = root / "tiny.yaml"
    config.write_text(f"rounds: 1\n{CONFIG}")
    subprocess.run([sys.executable, "run_chain.py", "run", config, root / "run", *HARDWARE], cwd=ROOT, check=True)
    verbs = {
        "--help": ["--help"],
        "status": ["status", str(root / "run")],
        "inspect": ["inspect", str(root / "run")],
        "plan": ["plan", "configs/demo.yaml"],
        "plan, of a run": ["plan", str(config), str(root / "run")],
    }
    own: dict[str, list[str]] = {name: [] if name == "--help" else libraries(words) for name, words in verbs.items()}
    sides = {"pass": ["-c", "pass"]}
    for name, words in verbs.items():
        sides[name] = ["run_chain.py", *words]
        sides[f"libraries of {name}"] = ["-c", f"import {', '.join(own[name])}" if own[name] else "pass"]
    taken: dict[str, list[Spent]] = {name: [] for name in sides}
    for _ in range(RUNS):
        for name, words in sides.items():
            taken[name].append(spent(words))
    print("| command | s | processor, s | libraries alone, s | processor, s | which |\n|---|---|---|---|---|---|")
    print(f"| `python -c pass` | {' | '.join(f'{value:.2f}' for value in middle(taken['pass']))} | | | |")
    for name in verbs:
        mine, alone = middle(taken[name]), middle(taken[f"libraries of {name}"])
        values = " | ".join(f"{value:.2f}" for value in (*mine, *alone))
        over = "" if mine.processor_s < BAR_S else f" (over {BAR_S})"
        print(f"| `{name}`{over} | {values} | {', '.join(own[name]) or 'none'} |")


def parts(store: Path) -> dict[str, Spent]:
    """Of this process, which has done nothing yet: part -> what it took."""
    found, last = {}, Spent(time.perf_counter(), time.process_time())

    def done(name: str) -> None:
        nonlocal last
        now = Spent(time.perf_counter(), time.process_time())
        found[name] = Spent(now.clock_s - last.clock_s, now.processor_s - last.processor_s)
        last = now

    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import numpy as np
    import torch

    done("imports: torch")
    from stages.predict import stage as _predict  # noqa: F401
    from stages.train import stage as _train  # noqa: F401

    done("imports: Lightning, timm and the rest")
    from data.images import Images
    from data.pixels.network_input import NetworkInput
    from data.store.patch_store import PatchStore
    from stages.loading import PlainPatches
    from stages.networks.create import first_network
    from stages.train.batches import Examples
    from stages.train.config import StudentConfig
    from stages.train.phases import phases_of

    torch.set_num_threads(1)
    section = StudentConfig(backbone="tf_efficientnet_lite0", batch_size=16)
    first_network(section, 5, NetworkInput("rgb8", 96), "student")
    done("network")
    images = Images(PatchStore(store))
    images.image(0)
    done("store and its first patch")
    rows = np.arange(len(images.store))
    examples = Examples(images.store.ids, np.ones((len(rows), 5), np.float32), np.ones(len(rows), np.float32))
    phase = phases_of(section, images, examples, examples, 0)[0]
    phase.patches[next(iter(phase.items(0, 1)))]
    done("first batch of a student, 64 patches, and albumentations")
    PlainPatches(images, rows)[range(256)]
    done("first batch of a labelling, 256 patches")
    return found


def stage(root: Path) -> None:
    """Print the table of a stage's parts."""
    from benchmarks.store import drawn_store

    store = root / "patches.h5"
    drawn_store(store, 1000, 96, jpeg=True)
    words = [sys.executable, "-m", "benchmarks.startup", "--parts-of", str(store)]
    each = [
        json.loads(subprocess.run(words, cwd=ROOT, env=KEPT, capture_output=True, check=True).stdout)
        for _ in range(RUNS)
    ]
    print("\n| part of a stage's beginning | s | processor, s |\n|---|---|---|")
    for name in each[0]:
        values = middle([Spent(*one[name]) for one in each])
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in values)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts-of", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.parts_of:
        print(json.dumps(parts(args.parts_of)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        commands(Path(folder))
        stage(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
