"""Every side in turns, undisturbed and killed half way; each figure is kept when it is there."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.beside_others.sides import Desk, command, says
from benchmarks.beside_others.watch import Spent, watched
from benchmarks.beside_others.wilds_set import balanced_accuracy
from data.files.atomic import write_json


@dataclass(frozen=True)
class Turn:
    """One run of one side. killed_s: when it was killed, None undisturbed; seconds and steps are of both starts."""

    side: str
    turn: int
    killed_s: float | None
    clock_s: float
    processor_s: float
    peak_mib: float
    steps: int
    accuracy: float

    @property
    def key(self) -> tuple[str, int, bool]:
        return self.side, self.turn, self.killed_s is not None


def turns_of(path: Path) -> list[Turn]:
    """Of a file that `Kept` wrote."""
    return [Turn(**row) for row in json.loads(path.read_bytes())["turns"]]


class Kept:
    """Turns in a file, for a benchmark that was interrupted. about: how they were made."""

    def __init__(self, path: Path, about: dict[str, object]) -> None:
        """Raises ValueError where the file holds turns that were made otherwise."""
        self.path, self.about = path, about
        self.turns: list[Turn] = []
        if path.is_file():
            before = json.loads(path.read_bytes())["about"]
            if before != about:
                raise ValueError(f"{path} was made with {before}, now {about}: name another --into")
            self.turns = turns_of(path)

    def find(self, side: str, turn: int, killed: bool) -> Turn | None:
        """That run, where it is there."""
        return next((one for one in self.turns if one.key == (side, turn, killed)), None)

    def add(self, turn: Turn) -> None:
        """Written before the next one begins."""
        self.turns.append(turn)
        write_json(self.path, {"about": self.about, "turns": [asdict(one) for one in self.turns]})


def measure(
    desk: Desk, kept: Kept, sides: Sequence[str], repeats: int, kills: int, into: Path, say: Callable[[Turn], None]
) -> None:
    """What is missing: all undisturbed, in so many turns; then, in `kills`, killed at half of that turn's time."""
    for turn, killed in [*((turn, False) for turn in range(repeats)), *((turn, True) for turn in range(kills))]:
        for side in sides:
            if kept.find(side, turn, killed):
                continue
            whole = kept.find(side, turn, False)
            one = measured(desk, side, turn, whole.clock_s / 2 if killed and whole else None, into / "at-work")
            kept.add(one)
            say(one)


def measured(desk: Desk, side: str, turn: int, kill_after_s: float | None, into: Path) -> Turn:
    """One run, in an empty directory."""
    shutil.rmtree(into, ignore_errors=True)
    words = command(side, desk, into)
    said = into.with_suffix(".log")
    said.unlink(missing_ok=True)
    spent: list[Spent] = []
    if kill_after_s is not None:
        spent.append(watched(words, desk.env(into), said, kill_after_s))
        print(f"{side}: killed after {spent[0].clock_s:.1f} s", file=sys.stderr, flush=True)
    spent.append(watched(words, desk.env(into), said))
    counted = into / "steps"
    steps, planned = counted.stat().st_size if counted.is_file() else 0, desk.setting.steps(desk.classes)
    if side != "sklearn" and steps < planned:
        raise RuntimeError(f"{side} ended after {steps} of {planned} steps: {said}")
    truth = desk.rows.label[desk.rows.of("test")]
    return Turn(
        side, turn, kill_after_s, sum(one.clock_s for one in spent), sum(one.processor_s for one in spent),
        max(one.peak_mib for one in spent), steps,
        balanced_accuracy(says(side, desk, into), truth),
    )  # fmt: skip
