"""A process that makes units, one order after another, until its orchestrator ends.

    python -m stages.prepare.worker MODULE CLASS PARENT_PID

It is its own process because libraries that open slides and scans crash and hang on damaged ones. What it prints
goes to stderr (a log); stdout speaks `stages.prepare.messages` only.
"""

import contextlib
import errno
import faulthandler
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.files.sealed import durable_files
from data.preparation import Preparation
from data.prepared import EMPTY, FACTS, STORE
from stages.prepare import messages
from stages.prepare.frames import frames
from stages.process.end_with_parent import end_with_parent

PROGRESS_EVERY_S = 0.25
ALIVE_EVERY_S = 0.5
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(argv: list[str]) -> NoReturn:
    """Take orders until stdin ends, and with it the process."""
    module, name, parent = argv
    # the end of stdin tells too, unless a library holds the lock of the interpreter
    end_with_parent(int(parent))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group; the orchestrator decides, and ends us
    out = _claimed_stdout()
    lines = _read_ahead(sys.stdin.buffer)
    greeting = messages.Greeting.read(lines.get())
    kind: type[Preparation] = getattr(importlib.import_module(module), name)
    preparation = kind.model_validate_json(json.dumps(greeting.settings))
    with greeting.log.open("a", encoding="utf-8") as log:
        faulthandler.enable(log)
        out.write(messages.ready())
        while True:
            order = messages.Order.read(lines.get())
            out.write(_outcome(preparation, order, greeting.key, out, log))


def _outcome(preparation: Preparation, order: messages.Order, key: bytes, out: BinaryIO, log: TextIO) -> bytes:
    writing = threading.Event()
    over = threading.Event()
    life = threading.Thread(target=_live, args=(writing, over, out), daemon=True)
    life.start()
    try:
        return _made(preparation, order, key, out, log, writing)
    finally:
        over.set()
        writing.set()
        life.join()  # so that no sign of life falls into the long line that follows


def _live(writing: threading.Event, over: threading.Event, out: BinaryIO) -> None:
    """Give signs of life while a store is written and digested: gigabytes take minutes, and no library can hang."""
    writing.wait()
    while not over.wait(ALIVE_EVERY_S):
        out.write(messages.alive())


def _made(
    preparation: Preparation,
    order: messages.Order,
    key: bytes,
    out: BinaryIO,
    log: TextIO,
    writing: threading.Event,
) -> bytes:
    told = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told > PROGRESS_EVERY_S or done == total:
            told = now
            out.write(messages.progress(done, total))
        if done >= total:
            writing.set()

    try:
        facts = preparation.prepare(order.unit, order.out, order.threads, tell, key)
        writing.set()
        write_json(order.out / FACTS, facts)
        assert {"patches", "quarantined"} <= facts.keys(), "facts count patches and quarantined ones"
        assert (order.out / STORE).is_file() == bool(facts["patches"]), f"a preparation writes {STORE}"
        assert bool(facts["patches"]) != (EMPTY in facts), "a unit without a patch says why"
        return messages.made(facts, durable_files(order.out))
    except ChainError as error:
        return messages.failed(error)
    except OSError as error:
        if error.errno in FULL or _is_ours(error, order.out):  # inputs are only read
            return messages.failed(_disk(error))
        return messages.failed(_internal(preparation, order, error, log))
    except MemoryError:
        return messages.failed(
            ChainError(
                "out of memory",
                "the machine has no more memory to give",
                "use fewer --workers, then run the same command again",
                ExitCode.OUT_OF_MEMORY,
            )
        )
    except Exception as error:  # noqa: BLE001 one unit must not end the others; the log has the whole of it
        return messages.failed(_internal(preparation, order, error, log))


def _internal(preparation: Preparation, order: messages.Order, error: Exception, log: TextIO) -> ChainError:
    with contextlib.suppress(OSError):
        log.write(f"{order.unit.name}\n")
        if preparation.keyed:
            log.write("\n".join(frames(error)) + "\n")
        else:
            traceback.print_exception(error, file=log)
        log.flush()
    said = type(error).__name__ if preparation.keyed else f"{type(error).__name__}: {error}"
    return ChainError(
        f"the program failed ({said})",
        "this is a fault of the program, or a damage it does not know",
        f"see logs/{Path(log.name).name}",
        ExitCode.INTERNAL,
    )


def _disk(error: OSError) -> ChainError:
    return ChainError(
        # of h5py the text is a paragraph
        f"a file of the unit cannot be written: {os.strerror(error.errno) if error.errno else error}",
        "the disk is full or failing, or may not be written; what was prepared before is unchanged",
        "free some space, then run the same command again",
        ExitCode.IO,
    )


def _is_ours(error: OSError, out: Path) -> bool:
    return isinstance(error.filename, str) and Path(error.filename).is_relative_to(out)


def _claimed_stdout() -> BinaryIO:
    """The pipe to the orchestrator; whatever else is printed goes to stderr, that of C libraries included."""
    ours = os.dup(1)
    os.dup2(2, 1)
    os.set_inheritable(ours, False)
    return os.fdopen(ours, "wb", buffering=0)


def _read_ahead(stdin: BinaryIO) -> "queue.SimpleQueue[bytes]":
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def follow() -> None:
        while line := stdin.readline():
            lines.put(line)
        os._exit(0)  # nobody waits for what is in work

    threading.Thread(target=follow, daemon=True).start()
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
