"""What a chain costs as its work grows: patches in the pool, classes, rounds, ranks, one at a time, all else fixed.

    python -m benchmarks.growth [--axes patches classes rounds ranks] [--repeats 3] [--plot FILE] [--figures FILE]
    python -m benchmarks.growth --axes patches --patches 1e5 3e5 1e6 --size-px 8 --repeats 1

Each figure is of the command `run`, in a process of its own on one thread, over drawn patches of 32 px in HDF5. The
process is forked from one that has imported what a chain imports: that costs the same whatever grows, and more than all
of a small chain. Two ranks are two processes on a thread each, started by torchrun as ever, which meet by gloo.

Measured are seconds by the clock, seconds of the processor of the process and of all it started, and memory in MiB of
the largest of them: `own` is what it had allocated (RssAnon, looked at every 50 ms; what it shares with the process it
was forked from is in it), `peak` all that the system ever counted as its own, mapped pages of files and libraries
included. Beside a figure stands the line it should follow, and by how many percent of the line it is off:

    patches   steps of training are fixed, so that the pool grows store, splits, predict and select alone: seconds and
              memory are a fixed part and so much a patch (by least squares)
    classes   as many patches of each part, and pseudo-labels, in all: flat, the mean
    rounds    seconds are a fixed part and so much a round (by least squares); memory is flat, the mean
    ranks     the same work by one and by two. Seconds of the processor are those of one, and what two cost more than
              one where there is next to no work, beginnings above all; memory is that of one

The last columns are seconds of the stages by the clock, as the ledger has them, summed over rounds. Figures are medians
of --repeats; chains take turns. --figures keeps what was measured as JSON; axes that it has and that are not asked for
are shown, too (`--axes` and no name: all of them, and nothing is measured).
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import run_chain
from benchmarks import tiny_chain
from benchmarks.large_pool import memory_mib
from data.files.atomic import replacing, write_json
from pipeline.directory.ledger import seconds

EACH_PATIENT, BLOCK, LOOK_S, MIB = 50, 256, 0.05, 1024
HELD_OUT = {"labelled": 320, "validation": 320, "test": 320}  # patches, over all classes
KEPT = 960  # pseudo-labels of the first round, over all classes
STAGES = ("store", "splits", "teacher", "predict", "select", "student")
CONFIG = """
seed: 0
rounds: {rounds}
data:
  size_px: {size_px}
  sources:
    - {{kind: hdf5, name: labelled, part: labelled, path: labelled.h5, patient: patient}}
    - {{kind: hdf5, name: validation, part: validation, path: validation.h5, patient: patient}}
    - {{kind: hdf5, name: test, part: test, path: test.h5, patient: patient}}
    - {{kind: hdf5, name: pool, part: pool, path: pool.h5, patient: patient}}
teacher: {{backbone: {backbone}, steps: {steps}, evaluate_every: {steps}, batch_size: {batch}, noise: weak}}
predict: {{views: 1}}
select: {{rule: top_k, k: {k}, k_step: {k_step}}}
student: {{backbone: {backbone}, steps: {steps}, evaluate_every: {steps}, batch_size: {given}, noise: strong}}
promote: {{tolerance: 1.0}}  # every round goes on, whatever was learnt
"""


@dataclass(frozen=True)
class Setting:
    """One chain. patches: in the pool, of size_px a side; steps: of every training; batch: patches a step."""

    patches: int = 4000
    classes: int = 4
    rounds: int = 2
    ranks: int = 1
    steps: int = 8
    batch: int = 16
    backbone: str = "test_resnet"
    size_px: int = 32

    @property
    def config(self) -> str:
        """Of a student's batch a quarter is labelled."""
        k = KEPT // self.classes
        return CONFIG.format(k=k, k_step=k // 4, given=self.batch // 4, **asdict(self))


@dataclass(frozen=True)
class Spent:
    """By one chain. stages: kind -> seconds by the clock; noise: of a median, see `median`."""

    clock_s: float
    processor_s: float
    own_mib: float
    peak_mib: float
    stages: dict[str, float]
    noise: float = 0.0


Line = Callable[[Sequence[float], Sequence[float]], list[float]]


def linear(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """A fixed part and so much a unit, by least squares."""
    found: list[float] = np.polyval(np.polyfit(x, y, 1), x).tolist()
    return found


def flat(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """The mean."""
    return [statistics.fmean(y)] * len(x)


def first(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """As it is where nothing has grown."""
    return [y[0]] * len(x)


@dataclass(frozen=True)
class Axis:
    """What grows, and the lines that seconds of the processor and own memory should follow.

    idle: for each setting one with next to no work; seconds follow the line, and what the idle ones cost more than the
    first of them.
    """

    settings: tuple[Setting, ...]
    time: Line
    memory: Line
    idle: tuple[Setting, ...] = ()


BASE = Setting()
LARGE = Setting(patches=8000, rounds=1, steps=20, batch=64, backbone="resnet10t")
IDLE = replace(LARGE, patches=1000, steps=1)
AXES = {
    "patches": Axis(tuple(replace(BASE, patches=n) for n in (2000, 4000, 8000, 16000, 32000)), linear, linear),
    "classes": Axis(tuple(replace(BASE, classes=n) for n in (2, 4, 8, 16, 32)), flat, flat),
    "rounds": Axis(tuple(replace(BASE, rounds=n) for n in (1, 2, 3, 4, 5)), linear, flat),
    "ranks": Axis((LARGE, replace(LARGE, ranks=2)), first, first, (IDLE, replace(IDLE, ranks=2))),
}


def draw(folder: Path, setting: Setting) -> int:
    """The four sources: noise around a colour of the class, no two patches alike; patients of 50 patches."""
    import h5py

    rng, side = np.random.default_rng(0), setting.size_px
    colour = rng.integers(60, 196, (setting.classes, 3), np.uint8)
    for name, n in {**HELD_OUT, "pool": setting.patches}.items():
        label = np.arange(n) % setting.classes
        with h5py.File(folder / f"{name}.h5", "w") as file:
            x = file.create_dataset("x", (n, side, side, 3), np.uint8)
            for start in range(0, n, BLOCK):
                own = label[start : start + BLOCK]
                noise = rng.integers(0, 60, (len(own), side, side, 3), np.uint8)
                x[start : start + len(own)] = colour[own, None, None] + noise
            file["y"] = label
            file["patient"] = [f"{name}-{row // EACH_PATIENT}" for row in range(n)]
    return 0


def apart(do: Callable[[], int], said: Path) -> tuple[float, float, float, float]:
    """In a fork of this process: seconds by the clock and of the processor, and memory, own and peak, in MiB.

    What it prints goes to the file `said`. Raises RuntimeError, with its end, where the fork does not return 0.
    """
    began, own = time.perf_counter(), 0.0
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            code = do()
        os._exit(code)
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)  # with all that it waited for itself
        if ended:
            break
        own = max([own, *map(allocated, family(child))])
        time.sleep(LOOK_S)
    if status:
        raise RuntimeError(f"exit {os.waitstatus_to_exitcode(status)}: {said.read_text()[-2000:]}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, own, used.ru_maxrss / MIB


def family(process: int) -> list[int]:
    """It and what it started, as far as they still run."""
    found = [process]
    for one in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def allocated(process: int) -> float:
    """MiB now that are no file's; 0 where it runs no more."""
    with contextlib.suppress(OSError, StopIteration):
        return memory_mib("RssAnon", process)
    return 0.0


def measured(setting: Setting, root: Path) -> Spent:
    """One chain below `root`, where its patches are drawn if they are not there yet."""
    folder = root / f"{setting.patches}-{setting.classes}-{setting.size_px}"
    config, run, said = folder / "config.yaml", folder / "run", root / "said"
    if not folder.exists():
        folder.mkdir()
        apart(lambda: draw(folder, setting), said)
    config.write_text(setting.config)
    words = ["run", str(config), str(run), "--threads", "1", "--device", "cpu", "--devices", str(setting.ranks)]
    figures = apart(lambda: run_chain.main([*words, "--quiet"]), said)
    stages = dict.fromkeys(STAGES, 0.0)
    took = seconds(run / "ledger.jsonl")
    if f"rounds/{setting.rounds - 1:02d}/student" not in took:
        raise RuntimeError(f"{setting}: it stopped early, after {list(took)[-1]}")
    for address, spent in took.items():
        name = address.rpartition("/")[2]
        if name in stages:  # the last promotion, `final`, is too short to matter
            stages[name] += spent
    shutil.rmtree(run)
    return Spent(*figures, stages)


def median(each: Sequence[Spent]) -> Spent:
    """Of each figure by itself. noise: how far the quartiles of seconds of the processor are apart, in percent."""
    names = ("clock_s", "processor_s", "own_mib", "peak_mib")
    stages = {name: statistics.median(one.stages[name] for one in each) for name in STAGES}
    medians = [statistics.median(getattr(one, name) for one in each) for name in names]
    low, middle, high = np.percentile([one.processor_s for one in each], [25, 50, 75])
    return Spent(*medians, stages, float(100 * (high - low) / middle))


def measure(axes: Sequence[str], repeats: int, root: Path) -> Iterator[dict[Setting, Spent]]:
    """Every chain of these axes, so often, in turns: after each turn the medians. Who is of two axes runs once."""
    settings = dict.fromkeys(one for name in axes for one in (*AXES[name].settings, *AXES[name].idle))
    taken: dict[Setting, list[Spent]] = {setting: [] for setting in settings}
    for turn in range(repeats):
        for setting, spent in taken.items():
            spent.append(measured(setting, root))
            print(f"{turn + 1}/{repeats} {setting} {spent[-1]}", file=sys.stderr, flush=True)
        yield {setting: median(spent) for setting, spent in taken.items()}


@dataclass(frozen=True)
class Curve:
    """An axis as it was measured: at every place `x` what was spent, and what stands there on the lines."""

    name: str
    x: list[int]
    spent: list[Spent]
    processor_s: list[float]
    own_mib: list[float]


def curve(name: str, found: dict[Setting, Spent]) -> Curve:
    """Of what was measured."""
    axis = AXES[name]
    x, spent = [getattr(setting, name) for setting in axis.settings], [found[setting] for setting in axis.settings]
    idle = [found[setting].processor_s for setting in axis.idle] or [0.0] * len(x)
    time_s = axis.time(x, [one.processor_s for one in spent])
    return Curve(
        name, x, spent,
        [on_line + more - idle[0] for on_line, more in zip(time_s, idle, strict=True)],
        axis.memory(x, [one.own_mib for one in spent]),
    )  # fmt: skip


def off(value: float, line: float) -> float:
    """Percent of the line."""
    return 100 * (value / line - 1)


def table(one: Curve) -> str:
    """In Markdown, and below it what a unit costs and the largest deviations."""
    heads = [one.name, "s", "of the processor, s", "line", "off, %", "own MiB", "line", "off, %", "peak MiB", *STAGES]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    apart_s, apart_mib = [], []
    for x, spent, time_s, on_line in zip(one.x, one.spent, one.processor_s, one.own_mib, strict=True):
        apart_s.append(off(spent.processor_s, time_s))
        apart_mib.append(off(spent.own_mib, on_line))
        cells = [f"{x:,}", f"{spent.clock_s:.1f}", f"{spent.processor_s:.1f}", f"{time_s:.1f}", f"{apart_s[-1]:+.1f}"]
        cells += [f"{spent.own_mib:,.0f}", f"{on_line:,.0f}", f"{apart_mib[-1]:+.1f}", f"{spent.peak_mib:,.0f}"]
        lines.append("| " + " | ".join([*cells, *(f"{spent.stages[name]:.1f}" for name in STAGES)]) + " |")
    more, units = one.processor_s[-1] - one.processor_s[0], one.x[-1] - one.x[0]
    memory = 2**20 * (one.own_mib[-1] - one.own_mib[0]) / units
    lines.append(
        f"\nOn the lines one more costs {1000 * more / units:,.2f} ms of the processor and {memory:,.0f} bytes. Off by "
        f"at most {max(map(abs, apart_s)):.1f} % in seconds, {max(map(abs, apart_mib)):.1f} % in memory; quartiles of "
        f"the same chain are at most {max(spent.noise for spent in one.spent):.1f} % apart.\n"
    )
    return "\n".join(lines)


def plot(curves: Sequence[Curve], path: Path) -> None:
    """A column an axis: seconds of the processor above, memory below; points are measured, lines what they follow."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, len(curves), figsize=(3.2 * len(curves), 5.4), sharex="col", squeeze=False)
    for one, above, below in zip(curves, *grid, strict=True):
        above.plot(one.x, [spent.processor_s for spent in one.spent], "o", color="C0", label="measured")
        above.plot(one.x, one.processor_s, "-", color="0.4", lw=1, label="line it should follow")
        below.plot(one.x, [spent.own_mib for spent in one.spent], "o", color="C0", label="own")
        below.plot(one.x, [spent.peak_mib for spent in one.spent], "x", color="C1", label="peak")
        below.plot(one.x, one.own_mib, "-", color="0.4", lw=1)
        below.set_xlabel("patches in the pool" if one.name == "patches" else one.name)
        below.set_xticks(one.x if one.name != "patches" else one.x[2:])
        for panel in (above, below):
            panel.set_ylim(0, 1.15 * panel.get_ylim()[1])
            panel.grid(alpha=0.3)
    grid[0, 0].set_ylabel("seconds of the processor")
    grid[1, 0].set_ylabel("MiB of the largest process")
    for panel in grid[:, 0]:
        panel.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png", metadata={"Software": None})
    pyplot.close(figure)


def kept(path: Path | None) -> dict[Setting, Spent]:
    """What an earlier run measured."""
    if path is None or not path.exists():
        return {}
    return {Setting(**row["setting"]): Spent(**row["spent"]) for row in json.loads(path.read_text())}


def keep(path: Path, found: dict[Setting, Spent]) -> None:
    """For `kept`."""
    write_json(path, [{"setting": asdict(one), "spent": asdict(spent)} for one, spent in found.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="*", choices=list(AXES), default=list(AXES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patches", type=float, nargs="+", help="other sizes of the pool for the axis `patches`")
    parser.add_argument("--size-px", type=int, default=BASE.size_px, help="of patches, on that axis")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--folder", type=Path, help="where patches are drawn and chains run: a folder on a local disk")
    args = parser.parse_args()
    if args.patches:
        sizes = tuple(replace(BASE, patches=int(n), size_px=args.size_px) for n in args.patches)
        AXES["patches"] = replace(AXES["patches"], settings=sizes)
    found = kept(args.figures)
    if args.axes:
        from benchmarks.forking import warm_up

        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            tiny = Path(folder) / "tiny.yaml"
            tiny.write_text(f"rounds: 1\n{tiny_chain.CONFIG}")
            warm_up([["run", str(tiny), f"{folder}/warm", "--threads", "1", "--device", "cpu", "--quiet"]])
            for medians in measure(args.axes, args.repeats, Path(folder)):
                found |= medians
                if args.figures:
                    keep(args.figures, found)
    curves = [curve(name, found) for name, axis in AXES.items() if {*axis.settings, *axis.idle} <= found.keys()]
    for one in curves:
        print(table(one))
    if args.plot:
        plot(curves, args.plot)


if __name__ == "__main__":
    main()
