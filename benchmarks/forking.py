"""Starts of the program as forks of one process that has imported torch once: what a start costs is what it does.

What is killed is killed for real, and gone on with in another process. Importing this sets one thread for all of them.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# one thread: a fork of several is no process of its own
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}

import run_chain
from data import fault
from stages.registry import KINDS

LONGEST_S = 300.0  # of one start, on a machine that does other things as well
END = "the end: "  # between what several starts said
PATIENCE_S = 60.0  # for a process that was told twice to end


@dataclass(frozen=True)
class Outcome:
    """How a process ended and what it said; seen, modules: of a process that was asked to count."""

    code: int
    said: str
    seen: dict[str, int]
    modules: list[str]


def start(starts: list[tuple[list[str], str | None]], first: Callable[[], object] = lambda: None) -> list[Outcome]:
    """One process, forked from this one: the program's words, each time with a fault armed, "count", or nothing.

    first: done in that process before. Returns as many outcomes as it came to: a process that is killed comes to
    nothing more.
    """
    said = os.pipe()
    with tempfile.TemporaryFile("w+") as result:
        child = os.fork()
        if not child:
            os.setsid()
            os.dup2(said[1], 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            first()
            for words, armed in starts:
                fault.arm(armed)
                code = run_chain.main(words)
                if armed == fault.COUNT:
                    json.dump({"seen": fault.seen, "modules": list(sys.modules)}, result)
                    result.flush()
                os.write(2, f"{END}{code}\n".encode())
            os._exit(0)
        os.close(said[1])
        text = _listen(child, said[0])
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
            raise AssertionError(f"{starts}: a process was left behind")
        result.seek(0)
        found = json.loads(result.read() or "{}")
    *parts, rest = text.split(END)
    codes = [int(part.partition("\n")[0]) for part in [*parts[1:], rest]] if parts else []
    told = [part.partition("\n")[2] if k else part for k, part in enumerate([*parts, rest])]
    outcomes = [
        Outcome(code, words, found.get("seen", {}), found.get("modules", []))
        for code, words in zip(codes, told, strict=False)
    ]
    return outcomes if died == 0 else [*outcomes, Outcome(died, told[-1], {}, [])]


def _listen(child: int, stream: int) -> str:
    """Read until the end; what hangs is told twice to end."""
    said, told, until = b"", 0, time.monotonic() + LONGEST_S
    while True:
        ready, _, _ = select.select([stream], [], [], 0.1)
        if ready:
            chunk = os.read(stream, 65536)
            if not chunk:
                break
            said, told, until = said + chunk, 0, time.monotonic() + LONGEST_S
        elif b"injected: hang" in said.rpartition(END.encode())[2] and told < 2:
            told, until = told + 1, time.monotonic() + PATIENCE_S
            os.kill(child, signal.SIGTERM)
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            said += b"\nit did not end"
    os.close(stream)
    return said.decode(errors="replace")


def warm_up(starts: list[list[str]]) -> Outcome:
    """Do these in a process of their own, then import what they imported, so that no later one pays for it."""
    for kind in KINDS.values():  # most of it, which that process then need not import as well
        importlib.import_module(kind.module)
    warm = start([(words, fault.COUNT) for words in starts])[-1]
    assert warm.code == 0, warm.said
    for name in warm.modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "an import began a thread"
    gc.collect()
    gc.freeze()  # what is never collected is never copied
    return warm


def forked(words: list[str]) -> int:
    """A start of the program, in a session of its own."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    code = 99
    try:
        code = run_chain.main(words)
    finally:
        os._exit(code)
