"""Worker processes that make units side by side. One that dies or falls silent fails its unit, and no other."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.preparation import Preparation, Unit
from data.sealed import Files
from stages.prepare.messages import Greeting, Order, refusal

LOOK_EVERY_S = 0.5
ROOT = Path(__file__).resolve().parents[2]
# libraries that would each take every core; the threads of a unit are told in its order
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")} | {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"
}


@dataclass(frozen=True)
class Begun:
    """A worker took this unit up."""

    unit: Unit


@dataclass(frozen=True)
class Moved:
    """Patches of a unit in work."""

    unit: Unit
    done: int
    total: int


@dataclass(frozen=True)
class Made:
    """A unit is whole and durable in its directory, and only its record is missing."""

    unit: Unit
    facts: dict[str, Any]
    files: Files
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A unit could not be made."""

    unit: Unit
    error: ChainError


Event = Begun | Moved | Made | Failed


class Pool:
    """`workers` processes at most. stall_s: how long a worker may be silent; 0: for ever. Use as a context."""

    def __init__(
        self, preparation: Preparation, key: bytes, logs: Path, lock_fd: int, workers: int, cores: int, stall_s: float
    ) -> None:
        self._preparation, self._key, self._logs, self._lock_fd = preparation, key, logs, lock_fd
        self._most, self._cores, self._stall_s = workers, cores, stall_s
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Pool":
        self._logs.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()
        self._selector.close()

    def make(self, orders: Iterator[tuple[Unit, Path]], units: int) -> Iterator[Event]:
        """Make every unit; yields what happens, as it happens. `units`: how many orders there are.

        Takes an order only when a worker is free for it. Raises ChainError (70) when workers do not start.
        """
        left = units
        while True:
            while left and (worker := self._free()) is not None:
                unit, out = next(orders)
                beside = sum(one.unit is not None for one in self._workers)
                threads = max(1, self._cores // min(self._most, beside + left))
                left -= 1
                worker.take(Order(unit, out, threads))
                yield Begun(unit)
            if not any(worker.unit for worker in self._workers):
                return
            for found, _ in self._selector.select(LOOK_EVERY_S):
                yield from self._heard(found.data)
            for worker in self._workers[:]:
                if worker.unit is not None and self._stall_s and worker.silent_s > self._stall_s:
                    yield self._lost(worker, _silent(self._stall_s, worker.log, self._preparation.keyed))

    def _free(self) -> "_Worker | None":
        for worker in self._workers:
            if worker.unit is None:
                return worker
        if len(self._workers) >= self._most:
            return None
        taken = {worker.number for worker in self._workers}
        number = next(n for n in range(self._most) if n not in taken)
        worker = _Worker(number, self._preparation, self._key, self._logs, self._lock_fd)
        self._workers.append(worker)
        self._selector.register(worker.out, selectors.EVENT_READ, worker)
        return worker

    def _heard(self, worker: "_Worker") -> Iterator[Event]:
        lines = worker.lines()
        if lines is None:
            code = worker.end()
            if not worker.started:
                raise ChainError(
                    f"a worker of prepare ended before it began ({_signal(code)})",
                    "this is a fault of the program or of its installation",
                    f"see {worker.log}",
                    ExitCode.INTERNAL,
                )
            error = _died(code, worker.log, self._preparation.keyed)
            if worker.unit is None:  # between two units: the next one gets another worker
                self._forget(worker)
            else:
                yield self._lost(worker, error)
            return
        for plain in lines:
            if "ready" in plain:
                worker.started = True
            elif worker.unit is not None and "total" in plain:
                yield Moved(worker.unit, int(plain["done"]), int(plain["total"]))
            elif worker.unit is not None and "made" in plain:
                files = {str(name): (str(sha), int(size)) for name, (sha, size) in plain["made"]["files"].items()}
                facts = dict(plain["made"]["facts"])
                yield Made(worker.release(), facts, files, time.monotonic() - worker.began)
            elif worker.unit is not None and "failed" in plain:
                yield Failed(worker.release(), refusal(plain["failed"]))

    def _lost(self, worker: "_Worker", error: ChainError) -> Failed:
        worker.end()
        self._forget(worker)
        return Failed(worker.release(), error)

    def _forget(self, worker: "_Worker") -> None:
        self._selector.unregister(worker.out)
        worker.out.close()
        self._workers.remove(worker)


class _Worker:
    def __init__(self, number: int, preparation: Preparation, key: bytes, logs: Path, lock_fd: int) -> None:
        self.number, self.unit, self.started = number, None, False
        self.log = logs / f"worker-{number}.log"
        self.began = self._heard_at = time.monotonic()
        self._rest = b""
        kind = type(preparation)
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # -P: a folder called `data` where the user stands is none of ours
                [sys.executable, "-P", "-m", "stages.prepare.worker", kind.__module__, kind.__name__, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # libraries print names of files and values of tags
                stderr=subprocess.DEVNULL if preparation.keyed else log,
                pass_fds=(lock_fd,),  # an orphan keeps the directory locked until it ends
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
            )
        assert self._process.stdout is not None
        self.out = self._process.stdout
        os.set_blocking(self.out.fileno(), False)
        self._say(Greeting(preparation.model_dump(mode="json"), key, self.log.absolute()).line())

    unit: Unit | None

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._heard_at

    def take(self, order: Order) -> None:
        self.unit = order.unit
        self.began = self._heard_at = time.monotonic()
        self._say(order.line())

    def release(self) -> Unit:
        assert self.unit is not None
        unit, self.unit = self.unit, None
        return unit

    def lines(self) -> list[dict[str, Any]] | None:
        """What it said since; None when it has ended."""
        said = os.read(self.out.fileno(), 1 << 16)
        if not said:
            return None
        self._heard_at = time.monotonic()
        *whole, self._rest = (self._rest + said).split(b"\n")
        return [json.loads(line) for line in whole]

    def end(self) -> int:
        """Kill it (it has nothing to save) and wait. Returns its exit code, negative for a signal."""
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # what it did not come to read
                self._process.stdin.close()
        return code

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: the end of its output says so
            self._process.stdin.write(line)
            self._process.stdin.flush()


def _died(code: int, log: Path, keyed: bool) -> ChainError:
    memory = code == -signal.SIGKILL
    return ChainError(
        f"the process that made it ended ({_signal(code)})",
        "the system ends processes so when memory runs out" if memory else "a library that reads it crashed",
        "use fewer --workers, or give the machine more memory" if memory else _see(log, keyed),
        ExitCode.OUT_OF_MEMORY if memory else ExitCode.BAD_DATA,
    )


def _silent(stall_s: float, log: Path, keyed: bool) -> ChainError:
    return ChainError(
        f"nothing was heard of it for {stall_s:g} s, and its process was ended",
        "a library that reads it hangs, or the disk it lies on does",
        f"{_see(log, keyed)}; or allow more time with --stall",
        ExitCode.HUNG,
    )


def _see(log: Path, keyed: bool) -> str:
    return "check that the input opens elsewhere" + ("" if keyed else f"; see {log.parent.name}/{log.name}")


def _signal(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
