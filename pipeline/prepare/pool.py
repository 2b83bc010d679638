"""Worker processes that make units side by side. One that dies or falls silent fails its unit, and no other."""

import selectors
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.sealed import Files
from data.preparation import Preparation, Unit
from pipeline.prepare.child import Child, died, signal_words, silent
from stages.prepare.messages import Order, refusal

LOOK_EVERY_S = 0.5


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
        self._workers: list[Child] = []
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
                    yield self._lost(worker, silent(self._stall_s, worker.log, self._preparation.keyed))

    def _free(self) -> "Child | None":
        for worker in self._workers:
            if worker.unit is None:
                return worker
        if len(self._workers) >= self._most:
            return None
        taken = {worker.number for worker in self._workers}
        number = next(n for n in range(self._most) if n not in taken)
        worker = Child(number, self._preparation, self._key, self._logs, self._lock_fd)
        self._workers.append(worker)
        self._selector.register(worker.out, selectors.EVENT_READ, worker)
        return worker

    def _heard(self, worker: "Child") -> Iterator[Event]:
        lines = worker.lines()
        if lines is None:
            code = worker.end()
            if not worker.started:
                raise ChainError(
                    f"a worker of prepare ended before it began ({signal_words(code)})",
                    "this is a fault of the program or of its installation",
                    f"see {worker.log}",
                    ExitCode.INTERNAL,
                )
            error = died(code, worker.log, self._preparation.keyed)
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

    def _lost(self, worker: "Child", error: ChainError) -> Failed:
        worker.end()
        self._forget(worker)
        return Failed(worker.release(), error)

    def _forget(self, worker: "Child") -> None:
        self._selector.unregister(worker.out)
        worker.out.close()
        self._workers.remove(worker)
