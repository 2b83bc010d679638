"""A command with everything it starts: seconds, memory, and its end by force."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.growth import family
from benchmarks.large_pool import memory_mib

LOOK_S = 0.5
RISEN = 1.01  # the exact sum costs a tenth of a second: it is taken where the cheap one has risen by so much


@dataclass(frozen=True)
class Spent:
    """By the clock, of the processor (all processes that were waited for), and the most memory at one time."""

    clock_s: float
    processor_s: float
    peak_mib: float


def watched(words: Sequence[str], env: Mapping[str, str], said: Path, kill_after_s: float | None = None) -> Spent:
    """Run a command to its end, or kill it and all it started after so many seconds; what it prints is added to `said`.

    Raises RuntimeError, with the end of what it said, where it fails.
    """
    with said.open("ab") as out:
        began, peak, resident = time.perf_counter(), 0.0, 0.0
        # a group of its own, so that a kill reaches what it has started
        process = subprocess.Popen(words, env=dict(env), stdout=out, stderr=out, start_new_session=True)
        try:
            while True:
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
                took = time.perf_counter() - began
                if ended:
                    break
                if kill_after_s is not None and took >= kill_after_s:
                    os.killpg(process.pid, signal.SIGKILL)
                    _, _, used = os.wait4(process.pid, 0)
                    return Spent(took, used.ru_utime + used.ru_stime, peak)
                who = family(process.pid)
                if (now := sum(map(resident_mib, who))) > RISEN * resident:
                    resident, peak = now, max(peak, sum(map(share_mib, who)))
                time.sleep(LOOK_S)
        except BaseException:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            process.returncode = 0  # waited for here, not by Popen
    if status:
        raise RuntimeError(f"exit {os.waitstatus_to_exitcode(status)}: {said.read_text(errors='replace')[-3000:]}")
    return Spent(took, used.ru_utime + used.ru_stime, peak)


def resident_mib(process: int) -> float:
    """Its pages, those it shares with others as well; 0 where it runs no more."""
    with contextlib.suppress(OSError, StopIteration):
        return memory_mib("VmRSS", process)
    return 0.0


def share_mib(process: int) -> float:
    """Proportional set size: its own pages, and of those it shares its part; 0 where it runs no more."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
