"""One worker process as its orchestrator sees it: started, told, heard, ended; and what its end means."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.preparation import Preparation, Unit
from stages.prepare.messages import Greeting, Order

ROOT = Path(__file__).resolve().parents[2]
# libraries that would each take every core; the threads of a unit are told in its order
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")} | {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"
}


class Child:
    """A worker that may have a unit. Whatever it does not come to say is said by the end of its output."""

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
        """Seconds since it was heard of."""
        return time.monotonic() - self._heard_at

    def take(self, order: Order) -> None:
        """Give it a unit to make."""
        self.unit = order.unit
        self.began = self._heard_at = time.monotonic()
        self._say(order.line())

    def release(self) -> Unit:
        """Its unit is made or has failed; returns it."""
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


def died(code: int, log: Path, keyed: bool) -> ChainError:
    """Why the unit of a worker failed that ended by itself."""
    memory = code == -signal.SIGKILL
    return ChainError(
        f"the process that made it ended ({signal_words(code)})",
        "the system ends processes so when memory runs out" if memory else "a library that reads it crashed",
        "use fewer --workers, or give the machine more memory" if memory else _see(log, keyed),
        ExitCode.OUT_OF_MEMORY if memory else ExitCode.BAD_DATA,
    )


def silent(stall_s: float, log: Path, keyed: bool) -> ChainError:
    """Why the unit of a worker failed that was not heard of."""
    return ChainError(
        f"nothing was heard of it for {stall_s:g} s, and its process was ended",
        "a library that reads it hangs, or the disk it lies on does",
        f"{_see(log, keyed)}; or allow more time with --stall",
        ExitCode.HUNG,
    )


def _see(log: Path, keyed: bool) -> str:
    return "check that the input opens elsewhere" + ("" if keyed else f"; see {log.parent.name}/{log.name}")


def signal_words(code: int) -> str:
    """An exit code as people read it."""
    if code >= 0:
        return f"exit {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
