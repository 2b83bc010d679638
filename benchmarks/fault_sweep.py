"""Every fault point of the program, struck in every way; go on; compare every committed byte with an untouched run.

    python -m benchmarks.fault_sweep                      # every point x kind, up to 6 occurrences: over 1,000
    python -m benchmarks.fault_sweep --occurrences 0      # every occurrence there is
    python -m benchmarks.fault_sweep --sample 150         # a sample that holds every point and every kind

The chain of tiny_chain.py, started as in forking.py; the points are those that the program lists. Where --together is
more than 1, a chain is struck that often before it may end, and what ended with an error goes on in the same process.
Ends with 0 when all files are the same, every exit code is the documented one, and no process, traceback or unfinished
file is left, else 1.
"""

import argparse
import collections
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.forking import Outcome, start, warm_up
from benchmarks.killing import committed, differing
from benchmarks.tiny_chain import CONFIG
from data import fault
from pipeline.fault_points import fault_points

# what the process may end with; 0: a ledger that cannot be written ends nothing
EXITS = {
    "kill": {-9},
    "torn": {-9},
    "term": {75},
    "hang": {75},
    "exc": {70},
    "enospc": {74, 0},
    "eio": {74, 0},
    "oom": {71},
    "nan": {3},
}
NEAR = 1  # passages of a point: these are met again wherever a chain goes on
OFTEN = 15  # passages: of points that every stage has


@dataclass(frozen=True)
class Strike:
    """A fault in one of the two scenarios, `run` or `rerun`."""

    scenario: str
    point: str
    nth: int
    kind: str

    @property
    def text(self) -> str:
        return f"{self.point}@{self.nth}@{self.kind}"


class Sweep:
    """Chains of so many rounds under `root`, each struck and gone on with until it ends."""

    def __init__(self, root: Path, rounds: int) -> None:
        self.root, self.last = root, f"rounds/{rounds - 1:02d}/student"
        self.config = root / "tiny.yaml"
        self.config.write_text(f"rounds: {rounds}\n{CONFIG}")
        self.plain = root / "plain"
        self.seen = {"run": self._untouched()}
        self.truth = committed(self.plain)
        self.seen["rerun"] = start([(self._first("rerun", self._begin("rerun")), fault.COUNT)])[0].seen
        self.struck: list[Strike] = []
        self.wrong: list[str] = []
        self.chains = 0

    def _untouched(self) -> dict[str, int]:
        return warm_up([self._words("run", self.plain)]).seen

    def strikes(self, occurrences: int) -> Iterator[Strike]:
        """Every listed point, every kind, occurrences spread from the first to the last."""
        for point in fault_points():
            scenario = "run" if self.seen["run"].get(point.name) else "rerun"
            count = self.seen[scenario].get(point.name, 0)
            if not count:
                self.wrong.append(f"{point.name} is never passed")
            for nth in _spread(count, occurrences):
                for kind in point.kinds:
                    yield Strike(scenario, point.name, nth, kind)

    def go(self, strikes: list[Strike], together: int, minutes: float, part: tuple[int, int] = (1, 1)) -> None:
        """Every strike; a chain ends, and is compared, after `together` of them. minutes: no chain is begun later.

        part: the first of three, (1, 3), and so on: what together is every strike, once. What is wrong is said at once.
        """
        until = time.monotonic() + 60 * minutes
        late: list[Strike] = []  # the chain they were in did not come there: a chain each
        for hand in self._hands(strikes, together)[part[0] - 1 :: part[1]]:
            told = len(self.wrong)
            late += self._chain(hand)
            for line in self.wrong[told:]:
                print(line, file=sys.stderr, flush=True)
            said = f"{len(self.struck):,} of {len(strikes):,} injections, {len(self.wrong)} wrong"
            print(said, end="\r", file=sys.stderr, flush=True)
            if time.monotonic() > until:
                return
        for strike in late:
            assert not self._chain([strike]), f"{strike}: passed in the first run, and now not"

    def _chain(self, hand: list[Strike]) -> list[Strike]:
        """One chain, struck by each of the hand in turn, then left to end. Returns those that found nothing to strike.

        Who is not killed by a strike goes on in the same process; a hand of one always goes on in another.
        """
        run = self._begin(hand[0].scenario)
        first, again = self._first(hand[0].scenario, run), self._words("run", run)
        said, late, left = [], [], list(hand)
        while left:
            outcomes = start([(again if said else first, strike.text) for strike in left])
            for strike, outcome in zip(left, outcomes, strict=False):
                if f"injected: {strike.kind}" not in outcome.said:
                    late.append(strike)
                    continue
                said.append(strike.text)
                self.struck.append(strike)
                self._judge(strike, outcome)
            left = left[len(outcomes) :]
        self._compare(run, start([(again, None)])[0], said)
        self.chains += 1
        return late

    def _hands(self, strikes: list[Strike], together: int) -> list[list[Strike]]:
        """Dealt to chains so that each has its strikes in the order in which a chain comes to their points."""
        alone = [strike for strike in strikes if strike.scenario != "run" or strike.nth > NEAR]
        near = [strike for strike in strikes if strike not in alone]
        if together == 1:
            return [[strike] for strike in strikes]
        seen, rng = self.seen["run"], random.Random(0)
        order = {point: place for place, point in enumerate(seen)}
        often = {point for point, count in seen.items() if count > OFTEN}

        def when(strike: Strike) -> tuple[bool, float]:
            ends_nothing = strike.point.startswith("ledger") and strike.kind in ("enospc", "eio")
            return ends_nothing, rng.uniform(0, len(order)) if strike.point in often else order[strike.point]

        near.sort(key=when)
        count = max(1, round(len(near) / together))
        hands = [near[i::count] for i in range(count)] + [[strike] for strike in alone]
        return rng.sample(hands, len(hands))  # so that a part of them is a fair part

    def _judge(self, strike: Strike, outcome: Outcome) -> None:
        if outcome.code not in EXITS[strike.kind]:
            self.wrong.append(f"{strike.text}: exit {outcome.code}: {outcome.said[-300:]}")
        if "Traceback" in outcome.said:
            self.wrong.append(f"{strike.text}: a traceback on the screen")

    def _compare(self, run: Path, last: Outcome, said: list[str]) -> None:
        changed = differing(self.truth, committed(run))
        left = [p.name for p in run.rglob("*.part") if ".trash" not in p.parts]
        left += [p.name for p in (run / ".staging").iterdir()]
        if last.code or changed or left:
            self.wrong.append(f"{said}: then exit {last.code}, differing {changed[:3]}, left {left[:3]}: {last.said}")
        else:
            shutil.rmtree(run)

    def _begin(self, scenario: str) -> Path:
        run = self.root / f"chain-{scenario}"
        shutil.rmtree(run, ignore_errors=True)
        if scenario == "rerun":
            shutil.copytree(self.plain, run)
        return run

    def _first(self, scenario: str, run: Path) -> list[str]:
        more = ["--from", self.last] if scenario == "rerun" else []
        return self._words(scenario, run) + more

    def _words(self, verb: str, run: Path) -> list[str]:
        places = [str(self.config), str(run)] if verb == "run" else [str(run)]
        return [verb, *places, "--threads", "1", "--device", "cpu", "--quiet"]


def _spread(count: int, most: int) -> list[int]:
    if not most or count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / max(1, most - 1)) for i in range(most)})


def sampled(strikes: list[Strike], size: int, seed: int) -> list[Strike]:
    """`size` of them: every point, every kind at every family of points as far as it goes, then at random."""
    rng = random.Random(seed)
    shuffled = rng.sample(strikes, len(strikes))
    nearest = sorted(shuffled, key=lambda strike: strike.nth > NEAR)
    first: dict[object, Strike] = {}
    for strike in nearest:
        first.setdefault(strike.point, strike)
    for strike in nearest:
        first.setdefault((strike.point.partition(".")[0], strike.kind), strike)
    near = [strike for strike in shuffled if strike.nth <= NEAR and strike.scenario == "run"]
    chosen = dict.fromkeys([*first.values(), *shuffled[: size // 20], *near, *shuffled])
    return list(chosen)[:size]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--occurrences", type=int, default=6, help="of each point and kind; 0: all")
    parser.add_argument("--sample", type=int, default=0, help="only so many; 0: all")
    parser.add_argument("--together", type=int, default=1, help="strikes a chain")
    parser.add_argument("--part", default="1/1", help="2/4: the second quarter of the chains, for short sessions")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e9, help="no chain is begun later")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, help="where chains are run; default: a new directory in memory")
    args = parser.parse_args()
    memory = Path("/dev/shm")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=args.into or (memory if memory.is_dir() else None)) as root:
        sweep = Sweep(Path(root), args.rounds)
        strikes = list(sweep.strikes(args.occurrences))
        if args.sample:
            strikes = sampled(strikes, args.sample, args.seed)
        which, parts = map(int, args.part.split("/"))
        sweep.go(strikes, args.together, args.minutes, (which, parts))
    for line in sweep.wrong:
        print(line)
    by_kind = collections.Counter(strike.kind for strike in sweep.struck)
    summary = {
        "points": len({strike.point for strike in sweep.struck}),
        "injections": len(sweep.struck),
        "asked": len(strikes),
        "part": args.part,
        "kinds": dict(sorted(by_kind.items())),
        "chains": sweep.chains,
        "files": len(sweep.truth),
        "wrong": len(sweep.wrong),
        "seconds": round(time.monotonic() - begun),
    }
    print(json.dumps(summary))
    return 1 if sweep.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
